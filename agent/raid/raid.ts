import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { type ExaminedDisk, examineDisks } from '../disk/examine.ts';
import { guardDisk, type GuardOptions } from '../disk/guard.ts';
import { nodeBootMode, nodeDiskLabel } from '../hardware/boot-mode.ts';
import type { DiskModel, Storage } from '../hardware/disk-model.ts';
import { readStorage } from '../hardware/disks.ts';
import type { AgentOs } from '../os/door.ts';
import { assembleArrays } from '../hardware/md.ts';
import { listArrays, type MdArray } from './arrays.ts';
import { chooseDisks } from './choose-disks.ts';
import { type LogicalDisk, readRaidConfig } from './config.ts';
import { makeRaid, type Narration } from './create.ts';
import { deleteRaid } from './delete.ts';
import { planRaid, type RaidPlan } from './plan.ts';
import { fatesOf, readSkipList, type SkipList } from './skip-list.ts';

type Guards = Omit<GuardOptions, 'skipped'>;

/** Arrays of our own may hold a disk, and may be so broken that nothing of them can be read: they are what is to go. */
function refuse(disk: ExaminedDisk, guards: GuardOptions, arrays: ReadonlySet<string>): void {
  const reasons = guardDisk(disk, guards).filter(({ code, text, device }) => {
    const holder = code === 'held' ? / is held by (\S+)/.exec(text)?.[1] : code === 'unreadable' ? device : undefined;
    return holder === undefined || !arrays.has(holder);
  });
  if (reasons.length === 0) return;
  const remedies = [...new Set(reasons.map(({ remedy }) => remedy))].join('; ');
  throw new AgentError(
    'ProtectedDeviceError',
    `cannot change ${disk.disk.name}: ${reasons.map(({ text }) => text).join(', ')}; ${remedies}`,
  );
}

async function guardDisks(os: AgentOs, guards: GuardOptions, names: readonly string[], arrays: ReadonlySet<string>) {
  const storage = await readStorage(os);
  const disks = storage.disks.filter(({ disk }) => names.includes(disk.name));
  for (const disk of await examineDisks(os, storage, disks)) refuse(disk, guards, arrays);
}

/** The step delete_configuration. @throws AgentError `ProtectedDeviceError` or `SoftwareRAIDError` */
export async function deleteConfiguration(
  os: AgentOs,
  node: Node,
  guards: Guards,
  narration: Narration,
): Promise<void> {
  await assembleArrays(os);
  const skipList = readSkipList(node, (await readStorage(os)).disks);
  await deleteRaid(os, {
    skipList,
    guard: (disks, arrays) => guardDisks(os, { ...guards, skipped: skipList.disks }, disks, arrays),
    ...narration,
  });
}

/** Disks that arrays may be made of: no arrays, nothing that is kept, read-only, or only played to the machine by its BMC. */
function candidates({ disks }: Storage, skipList: SkipList): DiskModel[] {
  return disks.filter(
    ({ kind, disk, isReadOnly, virtualMedia }) =>
      kind !== 'array' && !isReadOnly && virtualMedia === undefined && !skipList.disks.has(disk.name),
  );
}

/**
 * Which of the arrays that are wanted have to be made: those that skip_block_devices has kept are there already.
 * @throws AgentError `SoftwareRAIDError` for an array that is there, kept by nobody, or wanted by nobody
 */
function stillToMake(wanted: readonly LogicalDisk[], arrays: readonly MdArray[], skipList: SkipList): LogicalDisk[] {
  const unexpected: string[] = [];
  const there = new Set<string>();
  for (const { array, fate } of fatesOf(arrays, skipList)) {
    const isWanted = wanted.some(({ volumeName }) => volumeName !== undefined && volumeName === array.name);
    if (fate === 'delete' || (!isWanted && fate === 'wipe'))
      unexpected.push(`${array.device} (${array.name ?? 'no name'})`);
    else if (array.name !== undefined) there.add(array.name);
  }
  if (unexpected.length > 0)
    throw new AgentError(
      'SoftwareRAIDError',
      `cannot make software RAID: there is some already, ${unexpected.join(', ')}; run the step delete_configuration before`,
    );
  return wanted.filter(({ volumeName }) => volumeName === undefined || !there.has(volumeName));
}

type Planned = { plan: RaidPlan; chosen: DiskModel[]; storage: Storage; arrays: MdArray[] };

async function planConfiguration(
  os: AgentOs,
  node: Node,
  raidConfig: unknown,
): Promise<Planned & { skipList: SkipList }> {
  await assembleArrays(os);
  const storage = await readStorage(os);
  const skipList = readSkipList(node, storage.disks);
  const arrays = await listArrays(os, storage.blocks);
  const wanted = stillToMake(readRaidConfig(raidConfig, { needsNames: skipList.names.size > 0 }), arrays, skipList);
  const disks = candidates(storage, skipList);
  const firmware = (await os.files.exists('/sys/firmware/efi')) ? 'uefi' : 'bios';
  const bootMode = nodeBootMode(node, firmware);
  const plan = planRaid({
    wanted: chooseDisks(wanted, disks),
    disks: disks.map(({ disk }) => ({
      name: disk.name,
      sizeBytes: disk.size,
      sectorBytes: disk.logical_sectors ?? 512,
    })),
    table: nodeDiskLabel(node, bootMode),
    bootMode,
    takenDevices: new Set(arrays.map(({ device }) => device)),
  });
  const chosen = disks.filter(({ disk }) => plan.disks.some(({ name }) => name === disk.name));
  return { plan, chosen, storage, arrays, skipList };
}

/**
 * The arrays that a RAID configuration asks for, made on disks without partitions.
 * @returns the configuration with the name of each array, which Ironic keeps as the node's raid_config
 * @throws AgentError `SoftwareRAIDError`, or `ProtectedDeviceError` for disks that somebody uses
 */
export async function createConfiguration(
  os: AgentOs,
  node: Node,
  raidConfig: Record<string, unknown>,
  guards: Guards,
  narration: Narration & { plan: (plan: RaidPlan) => void },
): Promise<Record<string, unknown>> {
  const { plan, chosen, storage, skipList } = await planConfiguration(os, node, raidConfig);
  narration.plan(plan);
  const partitioned = chosen.filter(({ family }) => family.some(({ type }) => type === 'part'));
  if (partitioned.length > 0)
    throw new AgentError(
      'SoftwareRAIDError',
      `cannot make software RAID on ${partitioned.map(({ disk }) => disk.name).join(', ')}: there are partitions on it; run the steps delete_configuration and erase_devices_metadata before`,
    );
  for (const disk of await examineDisks(os, storage, chosen))
    refuse(disk, { ...guards, skipped: skipList.disks }, new Set());
  await makeRaid(os, plan, narration);
  const names = new Map(plan.arrays.map(({ logicalDisk, name }) => [logicalDisk.index, name]));
  const list = raidConfig['logical_disks'] as Record<string, unknown>[];
  return {
    ...raidConfig,
    logical_disks: list.map((entry, index) => ({ volume_name: names.get(index), ...entry })),
  };
}
