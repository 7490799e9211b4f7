import { AgentError } from '../api/errors.ts';
import type { LogicalDisk } from './config.ts';
import { type Level, LEVELS } from './levels.ts';

/** A disk that arrays are to stand on. */
export type PlainDisk = { name: string; sizeBytes: number; sectorBytes: number };

/** A partition to be made; sectors are the disk's logical ones. */
export type PlannedPartition = { disk: string; number: number; startSector: number; sectors: number; array: string };

export type PlannedDisk = PlainDisk & { table: 'gpt' | 'msdos'; partitions: PlannedPartition[] };

export type PlannedArray = {
  /** `/dev/md0`. */
  device: string;
  name: string;
  level: Level;
  /** Partitions, in the order in which the disks were chosen. */
  members: string[];
  logicalDisk: LogicalDisk;
};

export type RaidPlan = { disks: PlannedDisk[]; arrays: PlannedArray[] };

export type PlanRequest = {
  /** What is wanted, and the names of the disks that each stands on. */
  wanted: readonly { logicalDisk: LogicalDisk; disks: readonly string[] }[];
  disks: readonly PlainDisk[];
  table: 'gpt' | 'msdos';
  bootMode: 'uefi' | 'bios';
  /** Devices that exist already. */
  takenDevices: ReadonlySet<string>;
};

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** What is left free before the arrays, as IPA leaves it: for an EFI system partition of 550 MiB, or a boot loader in a GPT. */
const RESERVED_BYTES = { uefi: 551 * MIB, biosGpt: 8 * MIB, biosMbr: MIB };
/** mdadm puts a superblock, a bitmap and up to 128 MiB of room for later reshaping before the data (super1.c: 129 MiB); rounding. */
const MEMBER_OVERHEAD_BYTES = 130 * MIB;
/** The second table of a GPT: 128 entries of 128 bytes and a header of one sector (UEFI 2.10, 5.3). */
const GPT_ENTRIES_BYTES = 128 * 128;
const MOST_MBR_SECTORS = 2 ** 32 - 1;
const MOST_PARTITIONS = { gpt: 128, msdos: 4 };

/** `/dev/sda` and 1 to `/dev/sda1`, `/dev/nvme0n1` and 1 to `/dev/nvme0n1p1`. */
export function partitionPath(disk: string, number: number): string {
  return `${disk}${/\d$/.test(disk) ? 'p' : ''}${number}`;
}

const down = (bytes: number): number => Math.floor(bytes / MIB) * MIB;
const up = (bytes: number): number => Math.ceil(bytes / MIB) * MIB;

function refuse(why: string): AgentError {
  return new AgentError('SoftwareRAIDError', `cannot make software RAID: ${why}`);
}

function showGib(bytes: number): string {
  return `${(bytes / GIB).toFixed(2)} GiB`;
}

/** Where partitions of a disk may begin and end, bytes, both on whole MiB. */
function usable(disk: PlainDisk, { table, bootMode }: PlanRequest): { start: number; end: number } {
  const start =
    bootMode === 'uefi' ? RESERVED_BYTES.uefi : table === 'gpt' ? RESERVED_BYTES.biosGpt : RESERVED_BYTES.biosMbr;
  const end =
    table === 'gpt'
      ? disk.sizeBytes - GPT_ENTRIES_BYTES - disk.sectorBytes
      : Math.min(disk.sizeBytes, MOST_MBR_SECTORS * disk.sectorBytes);
  return { start, end: down(end) };
}

type Cursor = {
  disk: PlainDisk;
  next: number;
  end: number;
  partitions: PlannedPartition[];
  fullBy: string | undefined;
};

/** What a member has to have for the array to have its size; for MAX, what is left: the least of all where members have to be equal. */
function memberBytes({ logicalDisk }: PlanRequest['wanted'][number], cursors: readonly Cursor[]): number[] {
  const { level, sizeGib } = logicalDisk;
  if (sizeGib !== 'MAX') {
    const bytes = up((sizeGib * GIB) / LEVELS[level].data(cursors.length)) + MEMBER_OVERHEAD_BYTES;
    return cursors.map(() => bytes);
  }
  const left = cursors.map(({ next, end }) => end - next);
  // md stripes over what each disk has; every other level uses as much of each as the smallest has.
  return level === '0' ? left : left.map(() => Math.min(...left));
}

function place(cursor: Cursor, bytes: number, wanted: LogicalDisk, array: string, most: number): PlannedPartition {
  const { disk, next, end, partitions, fullBy } = cursor;
  const what = `logical disk ${wanted.index + 1}`;
  if (fullBy !== undefined) throw refuse(`${what} and ${fullBy} both have the size MAX on ${disk.name}`);
  if (next + bytes > end || bytes <= MEMBER_OVERHEAD_BYTES)
    throw refuse(
      `${what} needs ${showGib(Math.max(bytes, MEMBER_OVERHEAD_BYTES))} of ${disk.name}, which has ${showGib(Math.max(0, end - next))} left of ${showGib(disk.sizeBytes)}; ask for less, or for MAX`,
    );
  if (partitions.length >= most)
    throw refuse(`${disk.name} cannot have more than ${most} partitions; ask for UEFI or disk_label gpt`);
  const made = {
    disk: disk.name,
    number: partitions.length + 1,
    startSector: next / disk.sectorBytes,
    sectors: bytes / disk.sectorBytes,
    array,
  };
  partitions.push(made);
  cursor.next = next + bytes;
  if (wanted.sizeGib === 'MAX') cursor.fullBy = what;
  return made;
}

/**
 * Plans partitions and arrays; changes nothing. Arrays of a fixed size come first on each disk, as in IPA, so that MAX is the rest.
 * A `size_gb` is the room of the array, as Ironic documents it. Partitions begin and end on whole MiB.
 * @throws AgentError `SoftwareRAIDError` when it does not fit
 */
export function planRaid(request: PlanRequest): RaidPlan {
  const { table } = request;
  const cursors = new Map<string, Cursor>(
    request.disks.map((disk) => {
      const { start, end } = usable(disk, request);
      return [disk.name, { disk, next: start, end, partitions: [], fullBy: undefined }];
    }),
  );
  const free = Array.from({ length: 128 }, (_, index) => `/dev/md${index}`).filter(
    (device) => !request.takenDevices.has(device),
  );
  const ordered = request.wanted.toSorted(
    (a, b) => Number(a.logicalDisk.sizeGib === 'MAX') - Number(b.logicalDisk.sizeGib === 'MAX'),
  );
  const arrays = ordered.map((wanted, index): PlannedArray => {
    const { logicalDisk, disks } = wanted;
    const { level, volumeName } = logicalDisk;
    const device = free[index];
    if (device === undefined) throw refuse('there are more than 128 arrays');
    const { leastMembers } = LEVELS[level];
    if (new Set(disks).size < Math.max(leastMembers, disks.length))
      throw refuse(
        `RAID ${level} needs ${leastMembers} disks at least, logical disk ${logicalDisk.index + 1} has ${new Set(disks).size}`,
      );
    const own = disks.map((name) => {
      const cursor = cursors.get(name);
      if (cursor === undefined) throw refuse(`there is no disk ${name}`);
      return cursor;
    });
    const name = volumeName ?? device.replace('/dev/', '');
    const sizes = memberBytes(wanted, own);
    const parts = own.map((cursor, at) => place(cursor, sizes[at] ?? 0, logicalDisk, name, MOST_PARTITIONS[table]));
    return { device, name, level, members: parts.map(({ disk, number }) => partitionPath(disk, number)), logicalDisk };
  });
  const disks = [...cursors.values()].map(({ disk, partitions }) => ({ ...disk, table, partitions }));
  return { disks: disks.filter(({ partitions }) => partitions.length > 0), arrays };
}

/** The plan as lines for people: what is made where. */
export function describePlan({ disks, arrays }: RaidPlan): string[] {
  const partitions = disks.flatMap(({ name, table, sectorBytes, partitions: parts }) =>
    parts.map(
      ({ number, startSector, sectors, array }) =>
        `${partitionPath(name, number)}: sectors ${startSector} to ${startSector + sectors - 1} of ${sectorBytes} bytes (${showGib(sectors * sectorBytes)}, ${table}), for ${array}`,
    ),
  );
  return [
    ...partitions,
    ...arrays.map(({ device, name, level, members }) => `${device}: RAID ${level} "${name}" on ${members.join(' ')}`),
  ];
}
