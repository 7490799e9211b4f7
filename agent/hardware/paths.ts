import type { DiskModel, NotADisk } from './disk-model.ts';
import type { Block } from './lsblk.ts';

/**
 * What a block device of a disk's kind is only a part of: a path of a multipath disk, or a device that the kernel made of another
 * disk (bcache, DRBD).
 * @returns undefined for a disk of its own
 */
export function partOf(block: Block, blocks: readonly Block[]): Omit<NotADisk, 'name'> | undefined {
  const mapped = blocks.find(({ type, pkname }) => type === 'mpath' && pkname === block.kname);
  if (mapped) return { kind: 'path', why: `a path of the multipath disk /dev/${mapped.kname}` };
  if (block.type !== 'disk' || block.pkname === null) return undefined;
  return { kind: 'derived', why: `made of /dev/${block.pkname}` };
}

/** Only what the disk's standard says is its alone; a serial number of a cheap USB bridge is on every one of them. */
function identity({ disk, kind }: DiskModel): string | undefined {
  const wwn = disk.wwn_with_extension ?? disk.wwn;
  // NAA identifiers (SPC-5, 7.7.6.6) and EUI-64 or NGUID of NVMe name one logical unit in the world.
  const isUnique = wwn !== null && /^(?:0x[0-9a-f]{16,32}|eui\.[0-9a-f]{16,32}|naa\.[0-9a-f]{16,32})$/i.test(wwn);
  if (kind !== 'disk' || !isUnique || disk.serial === null || disk.tran === 'usb') return undefined;
  return [wwn.toLowerCase(), disk.serial, disk.size, disk.model ?? ''].join('|');
}

/**
 * Where no multipath daemon runs, each path to a disk is a block device. Those with the same world-wide name, serial number, model and
 * size are one disk: the first of them stays, and knows the others.
 * @param disks in the order in which the first is chosen
 */
export function groupPaths(disks: readonly DiskModel[]): { disks: DiskModel[]; doubles: NotADisk[] } {
  const first = new Map<string, DiskModel>();
  const doubles: NotADisk[] = [];
  const kept: DiskModel[] = [];
  for (const disk of disks) {
    const key = identity(disk);
    const known = key === undefined ? undefined : first.get(key);
    if (known) {
      known.paths.push(...disk.paths);
      known.family.push(...disk.family);
      known.names?.push(...(disk.names ?? []));
      known.hctls?.push(...(disk.hctls ?? []));
      known.byPaths?.push(...(disk.byPaths ?? []));
      doubles.push({
        name: disk.disk.name,
        kind: 'double',
        why: `another path to ${known.disk.name}`,
      });
      continue;
    }
    if (key !== undefined) first.set(key, disk);
    kept.push(disk);
  }
  return { disks: kept, doubles };
}
