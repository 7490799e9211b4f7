import type { BlockDevice } from '../../agent/os/door.ts';

/** What becomes of a write that the disk says it has done: undefined is "nothing", a shorter buffer is "so much of it". */
export type Lie = (buffer: Uint8Array, position: number) => Uint8Array | undefined;

/** A disk that takes every write and does with it what it likes, as worn or counterfeit ones do. */
export function lyingDisk(device: BlockDevice, lie: Lie): BlockDevice {
  return {
    ...device,
    write: async (buffer, position) => {
      const kept = lie(buffer, position);
      if (kept) await device.write(kept, position);
    },
  };
}

/** A disk that counts what is sent to it. */
export function countingDisk(device: BlockDevice): BlockDevice & { written: () => number } {
  let bytes = 0;
  return {
    ...device,
    write: async (buffer, position) => {
      bytes += buffer.length;
      await device.write(buffer, position);
    },
    written: () => bytes,
  };
}
