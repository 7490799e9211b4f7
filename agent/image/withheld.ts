import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import type { Medium } from './medium.ts';

export const END_BYTES = 1024 ** 2;
/** MBR and GPT header of either sector size, and at the other end the backup's: without these bytes nothing finds the rest of a table. */
export const SIGNATURE_BYTES = 8192;

/**
 * A device whose first and last MiB (of the image, not of the disk) stay in memory until `release`.
 *
 * They hold the partition tables: while they are missing, no firmware finds anything to boot, so an image that was not
 * verified, or only half written, cannot start.
 */
export type WithheldDevice = Pick<BlockDevice, 'write' | 'zero'> & {
  /** Writes what was held back, the backup GPT's header and then the very first sectors last, flushes in between and after, and reads it back. */
  release: () => Promise<void>;
};

type Held = { start: number; bytes: Buffer };

/** The part of `[position, position + length)` that lies in the held range, as offsets from `position`. */
function overlap(held: Held, position: number, length: number): [number, number] | undefined {
  const from = Math.max(position, held.start);
  const to = Math.min(position + length, held.start + held.bytes.length);
  return from < to ? [from - position, to - position] : undefined;
}

/** The range between the ends, which is written at once. Bytes. */
export function betweenEnds(imageBytes: number): { from: number; to: number } {
  const from = Math.min(END_BYTES, imageBytes);
  return { from, to: Math.max(from, imageBytes - END_BYTES) };
}

/** In the order in which they are written: everything else of the ends before the sectors by which firmware finds it. */
function inOrder(ends: readonly Held[]): Held[] {
  const parts = ends.map(({ start, bytes }) => {
    const at = start === 0 ? Math.min(SIGNATURE_BYTES, bytes.length) : Math.max(0, bytes.length - SIGNATURE_BYTES);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)].map((part, index) => ({
      start: start + (index === 0 ? 0 : at),
      bytes: part,
    }));
    return start === 0 ? { signatures: before, rest: after } : { signatures: after, rest: before };
  });
  const all = [...parts.map(({ rest }) => rest), ...parts.toReversed().map(({ signatures }) => signatures)];
  return all.flatMap((part) => (part && part.bytes.length > 0 ? [part] : []));
}

async function releaseEnds(device: Medium, path: string, ends: readonly Held[]): Promise<void> {
  const parts = inOrder(ends);
  await device.flush();
  for (const { start, bytes } of parts) {
    await device.write(bytes, start);
    await device.flush();
  }
  for (const { start, bytes } of parts) {
    const back = Buffer.alloc(bytes.length);
    await device.readBack(back, start);
    if (!back.equals(bytes))
      throw new AgentError(
        'ImageWriteError',
        `cannot trust ${path}: the partition table that was written at byte ${start} is not there; replace the disk`,
      );
  }
}

/**
 * @param path for messages
 * @param imageBytes guest size of the image; at most the device's size
 */
export function withholdEnds(device: Medium, path: string, imageBytes: number): WithheldDevice {
  const { from: first, to: lastStart } = betweenEnds(imageBytes);
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
    release: () => releaseEnds(device, path, ends),
  };
}
