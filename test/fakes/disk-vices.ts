import { open } from 'node:fs/promises';

import type { BlockDevice } from '../../agent/os/door.ts';
import type { Disk } from './erasable-machine.ts';

/** How a disk's firmware does what it is told. None is real; each does what has been seen of real ones, or could be. `trims-the-map` does it by discard alone. */
export const FIRMWARES = [
  'honest',
  /** Says that it is done, and nothing was. */
  'does-nothing',
  /** Says that it is done, and the second half was not. */
  'half',
  /** Says that it is done, and a hundredth of it, somewhere, was not. */
  'leaves-one-percent',
  /** Says that it is done, and one sector in eight was not. */
  'erases-torn',
  /** Stops in the middle and says so. */
  'fails-half-way',
  /** Its sanitize never ends. */
  'never-ends',
  /** Its sanitize says less and less, begins anew, and says that it is done when it is not. */
  'lies-on-progress',
  /** ATA: the firmware of the machine has frozen its security. */
  'frozen',
  /** ATA: does what it is told, and keeps the password. */
  'keeps-password',
  /** Takes each long write and keeps the first half of it. */
  'tears-writes',
  /** Takes writes and keeps none. */
  'ignores-writes',
  /** Keeps what was written until it is told to erase: then some places give what they had before all that. */
  'remaps',
  /** Has half of the sectors that it says it has: the others are the first ones once more. */
  'half-its-size',
  /** Has fewer sectors after an erase than before: the others are hidden (HPA), and as they were. */
  'shrinks',
  /** Forgets where things are, and not what they were: reads are zeros, and the data is in its flash. */
  'trims-the-map',
  /** A bad place in the middle. */
  'bad-sector',
  /** Is gone after a while. */
  'vanishes',
  /** Is gone as soon as it begins to erase itself. */
  'vanishes-erasing',
  /** Reads give an error at one place. */
  'unreadable',
] as const;
export type Firmware = (typeof FIRMWARES)[number];

export function noSuchDevice(): Error {
  return Object.assign(new Error('ENXIO: no such device or address'), { code: 'ENXIO' });
}

const SECTOR_BYTES = 512;
/** Of the disk that remaps: where, and how much, in parts of the disk. */
const REMAPPED = { from: 0.4, to: 0.45 };

/** The disk as the kernel lets it be written and read, with its firmware's vices. */
export function behave(disk: Disk, device: BlockDevice): BlockDevice {
  const bad = disk.sizeBytes / 2;
  const check = () => {
    if (disk.gone) throw noSuchDevice();
    // A device that is at a sanitize gives this for everything, whether it says so elsewhere or not.
    if (disk.sanitizing > 0 && disk.refusesWhileBusy) throw new Error('EIO: i/o error');
    if (disk.isLocked) throw new Error('EIO: i/o error');
  };
  const touches = (buffer: Uint8Array, position: number) => position <= bad && position + buffer.length > bad;
  const place = (position: number) => (disk.firmware === 'half-its-size' ? position % (disk.sizeBytes / 2) : position);
  return {
    ...device,
    path: disk.path,
    sizeBytes: disk.sizeBytes,
    sectorBytes: disk.sectorBytes ?? SECTOR_BYTES,
    write: async (buffer, position) => {
      disk.writes += 1;
      disk.isUnmapped = false;
      if (disk.firmware === 'vanishes' && disk.writes > 50) disk.gone = true;
      check();
      if (disk.firmware === 'ignores-writes') return;
      if (disk.firmware === 'bad-sector' && touches(buffer, position)) throw new Error('EIO: i/o error, write');
      const isTorn = disk.firmware === 'tears-writes' && buffer.length > 4096;
      const kept = isTorn ? buffer.subarray(0, buffer.length / 2) : buffer;
      if (disk.firmware === 'half-its-size' && kept.length > 4096)
        for (let at = 0; at < kept.length; at += 4096)
          await device.write(kept.subarray(at, at + 4096), place(position + at));
      else await device.write(kept, place(position));
    },
    read: async (buffer, position) => {
      check();
      await device.read(buffer, place(position));
    },
    readBack: async (buffer, position) => {
      check();
      if (disk.isUnmapped) {
        buffer.fill(0);
        return;
      }
      if (disk.firmware === 'unreadable' && touches(buffer, position)) throw new Error('EIO: i/o error, read');
      await device.readBack(buffer, place(position));
    },
    flush: async () => {
      check();
      await device.flush();
    },
  };
}

/**
 * Ranges (bytes) that an erase does not reach. `stays`: they hold what they held a moment ago, canaries too. `returns`: what was there
 * before the canaries, as flash does whose tables are thrown away and not the data.
 */
export type Leaves = { how: 'stays' | 'returns'; ranges: readonly (readonly [from: number, to: number])[] };

/** Ranges (bytes) that stay as they are when the device says that it has erased itself. */
function leavesBehind({ firmware, sizeBytes, seed, leaves }: Disk): Leaves['ranges'] {
  if (leaves) return leaves.ranges;
  const sectors = sizeBytes / SECTOR_BYTES;
  const at = (share: number) => Math.floor(sectors * share) * SECTOR_BYTES;
  if (firmware === 'does-nothing' || firmware === 'lies-on-progress') return [[0, sizeBytes]];
  if (firmware === 'half' || firmware === 'fails-half-way' || firmware === 'shrinks') return [[at(0.5), sizeBytes]];
  if (firmware === 'remaps') return [[at(REMAPPED.from), at(REMAPPED.to)]];
  if (firmware === 'leaves-one-percent') return [[at(0.99 * seed), at(0.99 * seed) + Math.max(SECTOR_BYTES, at(0.01))]];
  if (firmware === 'erases-torn')
    return Array.from({ length: Math.floor(sectors / 8) }, (_, index) => {
      const from = (index * 8 + 5) * SECTOR_BYTES;
      return [from, from + SECTOR_BYTES];
    });
  return [];
}

/** What a device does when it is told to erase itself. @returns whether it says that it went well */
export async function eraseItself(disk: Disk): Promise<boolean> {
  if (disk.firmware === 'trims-the-map' && disk.kind === 'virtio') {
    disk.isUnmapped = true;
    return true;
  }
  if (disk.firmware === 'vanishes-erasing') {
    disk.gone = true;
    return false;
  }
  const handle = await open(disk.file, 'r+');
  const zeros = Buffer.alloc(disk.sizeBytes);
  // What it leaves it leaves as it is; one that remaps gives back what was there before the canaries.
  const isBack = disk.leaves ? disk.leaves.how === 'returns' : disk.firmware === 'remaps';
  for (const [from, to] of leavesBehind(disk)) {
    if (isBack) disk.before.copy(zeros, from, from, to);
    else await handle.read(zeros, from, to - from, from);
  }
  await handle.write(zeros, 0, zeros.length, 0);
  await handle.close();
  if (disk.firmware === 'shrinks') disk.sizeBytes /= 2;
  return disk.firmware !== 'fails-half-way';
}
