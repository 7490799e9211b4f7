import { readFile } from 'node:fs/promises';

import type { BlockDevice } from '../../agent/os/door.ts';
import { type Run, systemRun } from '../../system/run.ts';

const SECTOR = 512;

type Event = { position: number; bytes: Buffer } | 'flush';

/** A disk that remembers in which order it was written and flushed, so that its power can be cut afterwards at any moment. */
export type RememberingDisk = { device: BlockDevice; run: Run; events: Event[] };

/** Runs of sectors in which two contents differ. */
function changes(before: Buffer, after: Buffer): Event[] {
  const found: Event[] = [];
  for (let at = 0; at < after.length; at += SECTOR) {
    const bytes = after.subarray(at, at + SECTOR);
    if (!bytes.equals(before.subarray(at, at + SECTOR))) found.push({ position: at, bytes: Buffer.from(bytes) });
  }
  return found;
}

/** @param device a file; programs that write to it past the device are noticed by what they changed */
export function rememberDisk(device: BlockDevice): RememberingDisk {
  const events: Event[] = [];
  return {
    events,
    device: {
      ...device,
      write: (buffer, position) => {
        events.push({ position, bytes: Buffer.from(buffer) });
        return device.write(buffer, position);
      },
      zero: (position, lengthBytes) => {
        events.push({ position, bytes: Buffer.alloc(lengthBytes) });
        return device.zero(position, lengthBytes);
      },
      flush: async () => {
        await device.flush();
        events.push('flush');
      },
    },
    run: async (file, args, options) => {
      const before = await readFile(device.path);
      const result = await systemRun(file, args, options);
      events.push(...changes(before, await readFile(device.path)));
      return result;
    },
  };
}

/**
 * Every disk that a power failure may leave: after each event, all that was flushed, and of what was not, any sectors.
 * @param draws how many of the latter are drawn for each event
 */
export function* afterPowerFailures(
  before: Buffer,
  events: readonly Event[],
  random: () => number,
  draws: number,
): Generator<Buffer> {
  const flushed = Buffer.from(before);
  let pending: Exclude<Event, 'flush'>[] = [];
  for (const event of events) {
    if (event === 'flush') {
      for (const { position, bytes } of pending) bytes.copy(flushed, position);
      pending = [];
      yield flushed;
      continue;
    }
    pending.push(event);
    for (let draw = 0; draw < draws; draw++) {
      const disk = Buffer.from(flushed);
      const share = random();
      for (const { position, bytes } of pending)
        for (let at = 0; at < bytes.length; at += SECTOR)
          if (random() < share) bytes.copy(disk, position + at, at, at + SECTOR);
      yield disk;
    }
  }
}
