import type { SystemFiles } from '../os/door.ts';

/** What tells a disk from another one that has its name, /dev/sda, at some other time. */
export type Identity = {
  /** The kernel counts disks as they come and never gives a number twice (`block/genhd.c`, Linux 5.15 and later). */
  sequence: string | undefined;
  /** By the file that says it: what the disk calls itself. */
  names: ReadonlyMap<string, string>;
};

/** Below /sys/class/block/NAME: virtio's serial number, NVMe's, WWIDs of NVMe and SCSI (which SATA is here), device mapper's, md's. */
const NAMES = ['serial', 'device/serial', 'wwid', 'device/wwid', 'dm/uuid', 'md/uuid'] as const;

/** @param kname kernel name of a disk */
export async function readIdentity(files: Pick<SystemFiles, 'read'>, kname: string): Promise<Identity> {
  const read = async (name: string) => (await files.read(`/sys/class/block/${kname}/${name}`))?.trim() || undefined;
  const found = await Promise.all(NAMES.map(async (name) => [name, await read(name)] as const));
  const names = new Map(found.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
  return { sequence: await read('diskseq'), names };
}

/**
 * Whether a disk is the one that it was. One that was away, for a reset of its link, has a new number and still says who it is; one
 * that never says is not taken for the same.
 * @returns undefined when it is, else what speaks against it
 */
export function whyAnother(before: Identity, now: Identity): string | undefined {
  if (before.sequence !== undefined && before.sequence === now.sequence) return undefined;
  const both = [...before.names].flatMap(([file, was]) => {
    const is = now.names.get(file);
    return is === undefined ? [] : [{ file, was, is }];
  });
  const other = both.find(({ was, is }) => was !== is);
  if (other) return `its ${other.file} is ${other.is} now, and was ${other.was}`;
  if (both.length > 0 || before.sequence === undefined) return undefined;
  return now.sequence === undefined ? 'it is gone' : 'it was plugged in later, and does not say who it is';
}
