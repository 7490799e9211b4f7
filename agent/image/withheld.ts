import type { BlockDevice } from '../os/door.ts';

const END_BYTES = 1024 ** 2;

/**
 * A device whose first and last MiB (of the image, not of the disk) stay in memory until `release`.
 *
 * They hold the partition tables: while they are missing, no firmware finds anything to boot, so an image that was not
 * verified, or only half written, cannot start.
 */
export type WithheldDevice = Pick<BlockDevice, 'write' | 'zero'> & {
  /** Writes what was held back, the end first, and flushes in between and after. */
  release: () => Promise<void>;
};

type Held = { start: number; bytes: Buffer };

/** The part of `[position, position + length)` that lies in the held range, as offsets from `position`. */
function overlap(held: Held, position: number, length: number): [number, number] | undefined {
  const from = Math.max(position, held.start);
  const to = Math.min(position + length, held.start + held.bytes.length);
  return from < to ? [from - position, to - position] : undefined;
}

/** @param imageBytes guest size of the image; at most the device's size */
export function withholdEnds(device: BlockDevice, imageBytes: number): WithheldDevice {
  const first = Math.min(END_BYTES, imageBytes);
  const lastStart = Math.max(first, imageBytes - END_BYTES);
  const ends: Held[] = [
    { start: 0, bytes: Buffer.alloc(first) },
    { start: lastStart, bytes: Buffer.alloc(imageBytes - lastStart) },
  ];
  /** What of a range goes to the device: the part between the two ends. */
  const middle = (position: number, length: number): [number, number] => [
    Math.min(length, Math.max(0, first - position)),
    Math.max(0, Math.min(length, lastStart - position)),
  ];
  return {
    write: async (buffer, position) => {
      if (position + buffer.length > imageBytes) throw new RangeError(`write past the image's end at ${position}`);
      for (const held of ends) {
        const part = overlap(held, position, buffer.length);
        if (part) held.bytes.set(buffer.subarray(...part), position + part[0] - held.start);
      }
      const [from, to] = middle(position, buffer.length);
      if (from < to) await device.write(buffer.subarray(from, to), position + from);
    },
    zero: async (position, lengthBytes) => {
      for (const held of ends) {
        const part = overlap(held, position, lengthBytes);
        if (part) held.bytes.fill(0, position + part[0] - held.start, position + part[1] - held.start);
      }
      const [from, to] = middle(position, lengthBytes);
      if (from < to) await device.zero(position + from, to - from);
    },
    release: async () => {
      await device.flush();
      for (const held of ends.toReversed()) {
        await device.write(held.bytes, held.start);
        await device.flush();
      }
    },
  };
}
