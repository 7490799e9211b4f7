import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { knameOf, rereadPartitions, withDevice } from '../disk/partitions.ts';
import { readTable } from '../disk/tables.ts';
import { type Block, eachOnce, listBlocks, withAncestors } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';
import { assembleArrays, mdadm } from '../hardware/md.ts';
import { listArrays, type MdArray } from './arrays.ts';
import { type Fate, fatesOf, type SkipList } from './skip-list.ts';

const STOP_ATTEMPTS = 5;
const STOP_DELAY_MS = 1000;
const MEMBER = 'linux_raid_member';

export type DeleteOptions = {
  skipList: SkipList;
  /** Refuses disks that somebody uses, whatever is on them; @throws AgentError */
  guard: (disks: readonly string[], exceptHolders: ReadonlySet<string>) => Promise<void>;
  log: (message: string) => void;
  step: (done: number, total: number, what: string) => void;
};

/** Takes an array's contents away. @throws AgentError when it cannot: whoever is told that they are gone has to be able to believe it */
async function wipeArray(os: AgentOs, { device }: MdArray): Promise<void> {
  await withDevice(os, device, 'write', (open) => wipeMetadata(os, open));
  await rereadPartitions(os, device);
}

/** Of an array that goes: one that cannot be read or written any more has no contents that anybody could find. */
async function wipeIfPossible(os: AgentOs, array: MdArray, log: (message: string) => void): Promise<void> {
  try {
    await wipeArray(os, array);
  } catch (error) {
    const why = error instanceof AgentError ? error.details : reasonOf(error);
    log(`the contents of ${array.device} cannot be wiped: ${why}`);
  }
}

/** udev may look at it at this very moment. */
async function stopArray(os: AgentOs, { device }: MdArray): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mdadm(os, ['--stop', device]);
      return;
    } catch (error) {
      if (attempt === STOP_ATTEMPTS) throw error;
      await os.clock.sleep(STOP_DELAY_MS);
    }
  }
}

async function deleteArray(os: AgentOs, array: MdArray, log: (message: string) => void): Promise<void> {
  await wipeIfPossible(os, array, log);
  await stopArray(os, array);
  for (const member of array.members) await mdadm(os, ['--zero-superblock', member]);
  log(`${array.device} (${array.name ?? 'without a name'}) on ${array.members.join(' ')} is gone`);
}

function partitionsOf(blocks: readonly Block[], disk: string): Block[] {
  return eachOnce(blocks).filter(({ type, pkname }) => type === 'part' && `/dev/${pkname}` === disk);
}

function diskUnder(blocks: readonly Block[], kname: string): string {
  const above = withAncestors(blocks, kname);
  return `/dev/${(above.find(({ type }) => type === 'mpath') ?? above.find(({ type }) => type === 'disk'))?.kname ?? kname}`;
}

/** Members that are of no array which the kernel has: of one whose other disks are gone, for example. */
function strays(blocks: readonly Block[], arrays: readonly MdArray[], { disks }: SkipList): string[] {
  const known = new Set(arrays.flatMap(({ members }) => members));
  return eachOnce(blocks)
    .filter(({ fstype, kname }) => fstype === MEMBER && !known.has(`/dev/${kname}`))
    .filter(({ kname }) => !disks.has(diskUnder(blocks, kname)))
    .map(({ kname }) => `/dev/${kname}`);
}

/** Partition numbers as sysfs has them. */
async function numberOf(os: AgentOs, partition: string): Promise<string | undefined> {
  return (await os.files.read(`/sys/class/block/${knameOf(partition)}/partition`))?.trim();
}

/** Takes one entry out of a table; the others, some of which may be in use, stay where they are. */
async function dropPartition(os: AgentOs, disk: string, number: number): Promise<void> {
  const table = await withDevice(os, disk, 'read', (device) => readTable(device));
  if (table.kind === 'gpt') await os.run('sgdisk', [`--delete=${number}`, disk]);
  else throw new AgentError('SoftwareRAIDError', `cannot take partition ${number} off ${disk}: it has an MBR`);
  await os.run('partx', ['--delete', '--nr', String(number), disk]);
}

/**
 * Takes members off a disk: its whole table where nothing else of it is to stay, their partitions alone otherwise.
 * @param hasWholeTable the disk was one of an array that is gone, and of none that stays
 */
async function clearDisk(
  os: AgentOs,
  disk: string,
  members: readonly string[],
  hasWholeTable: boolean,
): Promise<string> {
  const parts = partitionsOf(await listBlocks(os), disk).map(({ kname }) => `/dev/${kname}`);
  const isAll = parts.every((part) => members.includes(part));
  if (hasWholeTable || isAll) {
    await withDevice(os, disk, 'write', (device) => wipeMetadata(os, device));
    await rereadPartitions(os, disk);
    return `the partition table of ${disk} is gone`;
  }
  const own = parts.filter((part) => members.includes(part));
  for (const part of own) {
    const number = await numberOf(os, part);
    if (number !== undefined) await dropPartition(os, disk, Number(number));
  }
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  return `${own.join(' ')} of ${disk} is gone, the rest of it stays`;
}

/** What is going to be deleted, and what is not. All are device paths. */
export type DeletionPlan = {
  fates: Fate[];
  /** Members of arrays that the kernel does not have. */
  stray: string[];
  /** Disks that lose members; those of `whole` lose their partition tables with them. */
  disks: string[];
  whole: string[];
};

const withFate = ({ fates }: DeletionPlan, fate: Fate['fate']): MdArray[] =>
  fates.filter((one) => one.fate === fate).map(({ array }) => array);

/** Looks at the arrays that have been started, and changes nothing: what a dry run tells, and what is carried out. */
export async function planDeletion(os: AgentOs, skipList: SkipList): Promise<DeletionPlan> {
  const blocks = await listBlocks(os);
  const arrays = await listArrays(os, blocks);
  const plan: DeletionPlan = {
    fates: fatesOf(arrays, skipList),
    stray: strays(blocks, arrays, skipList),
    disks: [],
    whole: [],
  };
  const staying = [...withFate(plan, 'keep'), ...withFate(plan, 'wipe')];
  const keptDisks = new Set([...staying.flatMap(({ disks }) => disks), ...skipList.disks]);
  const goneDisks = [...new Set(withFate(plan, 'delete').flatMap(({ disks }) => disks))];
  const strayDisks = plan.stray.map((member) => diskUnder(blocks, knameOf(member)));
  return {
    ...plan,
    disks: [...new Set([...goneDisks, ...strayDisks])],
    whole: goneDisks.filter((disk) => !keptDisks.has(disk)),
  };
}

/** One look, and all that follows from it. */
async function deleteOnce(os: AgentOs, options: DeleteOptions): Promise<void> {
  const { skipList, log, step } = options;
  const plan = await planDeletion(os, skipList);
  const { fates, stray, disks, whole } = plan;
  const [gone, wiped] = [withFate(plan, 'delete'), withFate(plan, 'wipe')];
  for (const { array, fate, why } of fates)
    if (fate !== 'delete')
      log(
        `${array.device} (${array.name ?? 'without a name'}) ${fate === 'keep' ? 'is kept' : 'stays, but loses what is on it'}: ${why}`,
      );
  await options.guard(
    [...new Set([...disks, ...wiped.flatMap((array) => array.disks)])],
    new Set(fates.map(({ array }) => array.device)),
  );
  const total = gone.length + wiped.length + disks.length;
  let done = 0;
  for (const array of wiped) {
    step(done++, total, array.device);
    await wipeArray(os, array);
  }
  for (const array of gone) {
    step(done++, total, array.device);
    await deleteArray(os, array, log);
  }
  for (const member of stray) {
    await mdadm(os, ['--zero-superblock', member]);
    log(`${member} was a member of an array that is not there; it is none any more`);
  }
  const members = [...gone.flatMap((array) => array.members), ...stray];
  for (const disk of disks) {
    step(done++, total, disk);
    log(await clearDisk(os, disk, members, whole.includes(disk)));
  }
  step(total, total, '');
}

/**
 * Takes all software RAID off the machine but what skip_block_devices keeps: stops arrays, zeroes the superblocks of their members,
 * and wipes the partition tables of the disks that these are on.
 * @throws AgentError `ProtectedDeviceError` when something of a disk is in use, `SoftwareRAIDError` when something is left
 */
export async function deleteRaid(os: AgentOs, options: DeleteOptions): Promise<void> {
  await assembleArrays(os);
  await deleteOnce(os, options);
  // What was hidden behind an array, or is assembled of what is left, shows now.
  await assembleArrays(os);
  await deleteOnce(os, options);
  const blocks = await listBlocks(os);
  const arrays = await listArrays(os, blocks);
  const left = fatesOf(arrays, options.skipList).filter(({ fate }) => fate === 'delete');
  const members = strays(blocks, arrays, options.skipList);
  if (left.length + members.length > 0)
    throw new AgentError(
      'SoftwareRAIDError',
      `cannot delete all software RAID: ${[...left.map(({ array }) => array.device), ...members].join(', ')} is left`,
    );
}
