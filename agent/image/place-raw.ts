import type { Block } from './blocks.ts';
import { BLOCK_BYTES } from './blocks.ts';
import type { Flow } from './flow.ts';
import type { WithheldDevice } from './withheld.ts';

/** Puts blocks of an image file where they belong. `place` takes over one hold of the block. */
export type Placer = {
  place: (block: Block) => Promise<void>;
  /** After the last block: what is still to be done. */
  finish: () => Promise<void>;
  /** Ends what it has at work, also in the middle. */
  close: () => Promise<void>;
};

const ZEROS = Buffer.alloc(BLOCK_BYTES);

function isZero(bytes: Buffer): boolean {
  return bytes.equals(bytes.length === ZEROS.length ? ZEROS : ZEROS.subarray(0, bytes.length));
}

/** Zeros within a block are looked for in pieces of this size: long enough to be written past the page cache. */
const PIECE_BYTES = 64 * 1024;

/** Calls `visit` for each longest run of pieces that are all zero or all not. */
function forRuns(bytes: Buffer, visit: (from: number, to: number, isZeros: boolean) => void): void {
  let start = 0;
  let isZeros = isZero(bytes.subarray(0, PIECE_BYTES));
  for (let at = PIECE_BYTES; at < bytes.length; at += PIECE_BYTES) {
    const isNext = isZero(bytes.subarray(at, at + PIECE_BYTES));
    if (isNext === isZeros) continue;
    visit(start, at, isZeros);
    [start, isZeros] = [at, isNext];
  }
  visit(start, bytes.length, isZeros);
}

async function writeRuns(device: WithheldDevice, { bytes, position }: Block): Promise<void> {
  const runs: { from: number; to: number; isZeros: boolean }[] = [];
  forRuns(bytes, (from, to, isZeros) => runs.push({ from, to, isZeros }));
  for (const { from, to, isZeros } of runs)
    if (isZeros) await device.zero(position + from, to - from);
    else await device.write(bytes.subarray(from, to), position + from);
}

/**
 * Every byte at its own position; runs of zero blocks are left to the device.
 * @param isZeroedAhead zeros cost nothing, so that short runs within a block are left out too
 */
export function createRawPlacer(device: WithheldDevice, flow: Flow, isZeroedAhead: boolean): Placer {
  let zeroStart = 0;
  let zeroBytes = 0;
  const endZeroRun = async () => {
    if (zeroBytes === 0) return;
    const [start, length] = [zeroStart, zeroBytes];
    zeroBytes = 0;
    await flow.start(BLOCK_BYTES, () => device.zero(start, length));
  };
  return {
    place: async (block) => {
      if (isZero(block.bytes)) {
        if (zeroBytes === 0) zeroStart = block.position;
        zeroBytes += block.bytes.length;
        block.release();
        return;
      }
      await endZeroRun();
      await flow.start(block.bytes.length, async () => {
        try {
          if (!isZeroedAhead) await device.write(block.bytes, block.position);
          else await writeRuns(device, block);
        } finally {
          block.release();
        }
      });
    },
    finish: endZeroRun,
    close: async () => undefined,
  };
}
