import { copyInto } from '../../system/aligned.ts';
import type { Ring } from './flow.ts';

/** A piece of the image file. `position` is a multiple of the block size, so that writes fall on whole pages of the disk. */
export type Block = {
  position: number;
  bytes: Buffer;
  /** Says that one more job reads `bytes`. */
  hold: () => void;
  /** Says that a job is done with `bytes`; after the last one the buffer goes round. */
  release: () => void;
};

export const BLOCK_BYTES = 1024 ** 2;

function makeBlock(ring: Ring, buffer: Buffer, position: number, length: number): Block {
  let holders = 1;
  return {
    position,
    bytes: buffer.subarray(0, length),
    hold: () => void holders++,
    release: () => {
      holders--;
      if (holders === 0) ring.giveBack(buffer);
    },
  };
}

/**
 * Chunks of any size to blocks of `BLOCK_BYTES` (the last one may be shorter).
 * The receiver holds each block once and must release it.
 */
export async function* toBlocks(chunks: AsyncIterable<Uint8Array>, ring: Ring): AsyncGenerator<Block> {
  let position = 0;
  let filled = 0;
  let buffer: Buffer | undefined;
  for await (const chunk of chunks) {
    for (let used = 0; used < chunk.length;) {
      buffer ??= await ring.take();
      const count = Math.min(BLOCK_BYTES - filled, chunk.length - used);
      copyInto(buffer, filled, chunk.subarray(used, used + count));
      filled += count;
      used += count;
      if (filled < BLOCK_BYTES) continue;
      yield makeBlock(ring, buffer, position, filled);
      position += filled;
      filled = 0;
      buffer = undefined;
    }
  }
  if (buffer) yield makeBlock(ring, buffer, position, filled);
}
