import type { Block } from './blocks.ts';
import { BLOCK_BYTES } from './blocks.ts';
import type { Flow } from './flow.ts';
import type { WithheldDevice } from './withheld.ts';

/** Puts blocks of an image file where they belong. `place` takes over one hold of the block. */
export type Placer = {
  place: (block: Block) => Promise<void>;
  /** After the last block: what is still to be done. */
  finish: () => Promise<void>;
};

const ZEROS = Buffer.alloc(BLOCK_BYTES);

function isZero(bytes: Buffer): boolean {
  return bytes.equals(bytes.length === ZEROS.length ? ZEROS : ZEROS.subarray(0, bytes.length));
}

/** Every byte at its own position; runs of zero blocks are left to the device. */
export function createRawPlacer(device: WithheldDevice, flow: Flow): Placer {
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
          await device.write(block.bytes, block.position);
        } finally {
          block.release();
        }
      });
    },
    finish: endZeroRun,
  };
}
