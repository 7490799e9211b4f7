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
import { deleteRaid, planDeletion } from './delete.ts';
import { type CreationPreview, type DeletionPreview, previewCreation, previewDeletion } from './preview.ts';
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

/** The step delete_configuration with `dry_run`: starts arrays to read from them, as it does itself, and changes nothing. */
export async function previewDeletionOf(os: AgentOs, node: Node, guards: Guards): Promise<DeletionPreview> {
  await assembleArrays(os);
  const skipList = readSkipList(node, (await readStorage(os)).disks);
  const plan = await planDeletion(os, skipList);
  const touched = new Set([
    ...plan.disks,
    ...plan.fates.flatMap(({ array, fate }) => (fate === 'wipe' ? array.disks : [])),
  ]);
  const arrays = new Set(plan.fates.map(({ array }) => array.device));
  await guardDisks(os, { ...guards, skipped: skipList.disks }, [...touched], arrays);
  return previewDeletion(plan);
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
 * @returns `unexpected`: arrays that are there, kept by nobody, or wanted by nobody
 */
function stillToMake(
  wanted: readonly LogicalDisk[],
  arrays: readonly MdArray[],
  skipList: SkipList,
): { missing: LogicalDisk[]; unexpected: MdArray[] } {
  const unexpected: MdArray[] = [];
  const there = new Set<string>();
  for (const { array, fate } of fatesOf(arrays, skipList)) {
    const isWanted = wanted.some(({ volumeName }) => volumeName !== undefined && volumeName === array.name);
    if (fate === 'delete' || (!isWanted && fate === 'wipe')) unexpected.push(array);
    else if (array.name !== undefined) there.add(array.name);
  }
  const missing = wanted.filter(({ volumeName }) => volumeName === undefined || !there.has(volumeName));
  return { missing, unexpected };
}

type Planned = {
  plan: RaidPlan;
  chosen: DiskModel[];
  storage: Storage;
  skipList: SkipList;
  /** Arrays that have to be deleted before; the plan is for afterwards. */
  inTheWay: MdArray[];
};

async function planConfiguration(os: AgentOs, node: Node, raidConfig: unknown): Promise<Planned> {
  await assembleArrays(os);
  const storage = await readStorage(os);
  const skipList = readSkipList(node, storage.disks);
  const arrays = await listArrays(os, storage.blocks);
  const wanted = readRaidConfig(raidConfig, { needsNames: skipList.names.size > 0 });
  const { missing, unexpected } = stillToMake(wanted, arrays, skipList);
  const disks = candidates(storage, skipList);
  const firmware = (await os.files.exists('/sys/firmware/efi')) ? 'uefi' : 'bios';
  const bootMode = nodeBootMode(node, firmware);
  const plan = planRaid({
    wanted: chooseDisks(missing, disks),
    disks: disks.map(({ disk }) => ({
      name: disk.name,
      sizeBytes: disk.size,
      sectorBytes: disk.logical_sectors ?? 512,
    })),
    table: nodeDiskLabel(node, bootMode),
    bootMode,
    takenDevices: new Set(arrays.filter((array) => !unexpected.includes(array)).map(({ device }) => device)),
  });
  const chosen = disks.filter(({ disk }) => plan.disks.some(({ name }) => name === disk.name));
  return { plan, chosen, storage, skipList, inTheWay: unexpected };
}

/**
 * What has to be done to the disks before arrays can be made of them.
 * @param deletion what will have been deleted by then
 */
function stepsBefore({ chosen, inTheWay }: Planned, deletion?: DeletionPreview): string[] {
  const arrays = (deletion ? [] : inTheWay).map(({ device, name }) => `${device} (${name ?? 'no name'})`);
  const partitioned = chosen.filter(({ family }) => family.some(({ type }) => type === 'part'));
  const names = partitioned.map(({ disk }) => disk.name).filter((name) => !deletion?.wiped_disks.includes(name));
  return [
    ...(arrays.length > 0
      ? [`there is some already, ${arrays.join(', ')}; run the step delete_configuration before`]
      : []),
    ...(names.length > 0
      ? [
          `there are partitions on ${names.join(', ')}; run the steps delete_configuration and erase_devices_metadata before`,
        ]
      : []),
  ];
}

/**
 * The step create_configuration with `dry_run`. What stands in its way now is told and is no error: the steps before it may clear
 * that away.
 * @param deletion what the same step deletes before
 */
export async function previewConfiguration(
  os: AgentOs,
  node: Node,
  raidConfig: unknown,
  guards: Guards,
  deletion?: DeletionPreview,
): Promise<CreationPreview> {
  const planned = await planConfiguration(os, node, raidConfig);
  const { plan, chosen, storage, skipList, inTheWay } = planned;
  const own = new Set(inTheWay.map(({ device }) => device));
  for (const disk of await examineDisks(os, storage, chosen)) refuse(disk, { ...guards, skipped: skipList.disks }, own);
  const preview = previewCreation(plan, chosen, stepsBefore(planned, deletion));
  return deletion ? { ...preview, deletion } : preview;
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
  const planned = await planConfiguration(os, node, raidConfig);
  const { plan, chosen, storage, skipList } = planned;
  const [first] = stepsBefore(planned);
  if (first !== undefined) throw new AgentError('SoftwareRAIDError', `cannot make software RAID: ${first}`);
  narration.plan(plan);
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
