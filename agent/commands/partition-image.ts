import { reasonOf } from '../../system/failure.ts';
import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { fillConfigDrive } from '../disk/config-drive.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { checkFileSystem, fileSystemUuid, makeFileSystem } from '../disk/file-systems.ts';
import {
  type Layout,
  type LayoutWish,
  matchLayout,
  PARTITION_KINDS,
  type PartitionRole,
  planLayout,
} from '../disk/layout.ts';
import { findPartitions, type MadePartition, makePartitions } from '../disk/make-partitions.ts';
import { partOfDevice } from '../disk/part-of-device.ts';
import { rereadPartitions, withDevice } from '../disk/partitions.ts';
import { readEntries, readTable } from '../disk/tables.ts';
import type { CommandContext } from '../engine/command-table.ts';
import { nodeBootMode, nodeDiskLabel } from '../hardware/boot-mode.ts';
import { deliverImage } from '../image/deliver.ts';
import type { PartitionRequest } from '../image/partition-request.ts';
import type { ImageRequest } from '../image/request.ts';
import type { BlockDevice } from '../os/door.ts';
import type { AgentDeps } from './deps.ts';
import { deliveryOptions } from './image-request.ts';
import { firmwareOf } from './target.ts';

const MIB = 1024 ** 2;
/** What a config drive that is made anew as FAT, for sectors of 4096 bytes, has room in. */
const REBUILT_DRIVE_MIB = 64;

/** The answer of `standby.get_partition_uuids` after a partition image, with ironic-python-agent's keys (agent-protocol I.6). */
export type PartitionUuids = {
  partitions: Record<string, string>;
  'root uuid': string;
  'efi system partition uuid': string | null;
};

type Job = {
  request: ImageRequest;
  partition: PartitionRequest;
  drive: Buffer | undefined;
  path: string;
  node: Node | undefined;
  context: CommandContext;
};

async function wishOf(deps: AgentDeps, { partition, drive, node }: Job, sectorBytes: number): Promise<LayoutWish> {
  const { bootMode: said } = partition;
  const bootMode = nodeBootMode(node, said === 'uefi' || said === 'bios' ? said : await firmwareOf(deps));
  const isRebuilt = deps.config.configDriveRebuild || sectorBytes > 512;
  const driveMib = drive ? Math.ceil(drive.length / MIB) : 0;
  return {
    label: nodeDiskLabel(node, bootMode),
    bootMode,
    rootMib: partition.rootMib,
    swapMib: partition.swapMib,
    ephemeralMib: partition.ephemeralMib,
    configDriveMib: drive && isRebuilt ? REBUILT_DRIVE_MIB : driveMib,
    efiMib: deps.config.efiSystemPartitionMib,
    biosBootMib: deps.config.biosBootPartitionMib,
  };
}

/** File systems that will be made; all of them are looked for before the disk is touched. */
function fileSystems(
  { partitions }: Layout,
  { ephemeralFormat, preserveEphemeral }: PartitionRequest,
): { role: PartitionRole; type: string; label: string }[] {
  const types: Partial<Record<PartitionRole, string>> = {
    'efi system partition': 'vfat',
    swap: 'swap',
    ...(!preserveEphemeral && { ephemeral: ephemeralFormat }),
  };
  return partitions.flatMap(({ role }) => {
    const type = types[role];
    return type === undefined ? [] : [{ role, type, label: PARTITION_KINDS[role].name }];
  });
}

/** Signatures of what was where a new partition begins or ends would be taken for its own. */
async function clearPartitions(device: BlockDevice, layout: Layout): Promise<void> {
  const { sectorBytes } = device;
  for (const { role, startSector, sectors } of layout.partitions) {
    if (role === 'root') continue;
    await device.zero(startSector * sectorBytes, MIB);
    await device.zero((startSector + sectors) * sectorBytes - MIB, MIB);
  }
  await device.flush();
}

/** Writes the image to where the root partition is, or will be once the image is verified and the table written. */
async function writeRoot(deps: AgentDeps, job: Job, layout: Layout, device: BlockDevice): Promise<void> {
  const { os } = deps;
  const { request, partition, path, context } = job;
  const root = layout.partitions.find(({ role }) => role === 'root');
  if (!root) throw new RangeError('a layout without a root partition');
  const [position, length] = [root.startSector * device.sectorBytes, root.sectors * device.sectorBytes];
  const place = partOfDevice(device, `the root partition of ${path}`, position, length);
  await deliverImage({
    request,
    options: deliveryOptions(deps),
    os,
    device: place,
    wipe: () => (partition.preserveEphemeral ? Promise.resolve() : wipeMetadata(os, device)),
    progress: context.progress,
    signal: context.signal,
  });
  if (!partition.preserveEphemeral) await clearPartitions(device, layout);
}

async function fillPartitions(
  deps: AgentDeps,
  job: Job,
  layout: Layout,
  made: readonly MadePartition[],
): Promise<void> {
  const { os } = deps;
  for (const { role, type, label } of fileSystems(layout, job.partition)) {
    const place = made.find((one) => one.role === role);
    if (!place) continue;
    job.context.progress({ phase: 'make file systems', message: `${type} on ${place.path}` });
    await makeFileSystem(os, type, place.path, label);
  }
  const place = made.find(({ role }) => role === 'configdrive');
  if (!place || !job.drive) return;
  job.context.progress({ phase: 'write config drive' });
  await fillConfigDrive(os, place.path, job.drive, deps.config.configDriveRebuild);
}

/** What Ironic is told, and passes to `install_bootloader`: UUIDs of file systems, or of partitions where there is none. */
async function describe(deps: AgentDeps, made: readonly MadePartition[]): Promise<PartitionUuids> {
  const uuidOf = async (role: MadePartition['role']) => {
    const found = made.find((one) => one.role === role);
    return found ? ((await fileSystemUuid(deps.os, found.path)) ?? found.partuuid) : null;
  };
  return {
    partitions: Object.fromEntries(made.map(({ role, path }) => [role, path])),
    'root uuid': (await uuidOf('root')) ?? '',
    'efi system partition uuid': await uuidOf('efi system partition'),
  };
}

/** The table that the disk has, where its ephemeral partition is to be kept. */
async function keepTable(device: BlockDevice, plan: Layout) {
  const entries = await readEntries(device, await readTable(device));
  const layout = matchLayout(plan, entries, device);
  const partuuids = new Map(entries.map(({ number, partuuid }) => [number, partuuid]));
  return {
    layout,
    named: layout.partitions.map((one) => ({ ...one, partuuid: partuuids.get(one.number) ?? '' })),
  };
}

/**
 * Writes the image of a file system to a root partition, and makes the partitions beside it (agent-protocol I.6). The partition table is
 * written after the image was verified; after a failure the disk has none. With `preserve_ephemeral` the old table stays as it is,
 * and so does the ephemeral partition whatever happens.
 * @throws AgentError
 */
export async function writePartitionImage(deps: AgentDeps, job: Job): Promise<PartitionUuids> {
  const { os } = deps;
  const { path, partition, context } = job;
  const { layout, named } = await withDevice(os, path, 'write', async (device) => {
    const plan = planLayout(await wishOf(deps, job, device.sectorBytes), device);
    for (const { type } of fileSystems(plan, partition)) await checkFileSystem(os, type);
    const found = partition.preserveEphemeral ? await keepTable(device, plan) : { layout: plan, named: undefined };
    await writeRoot(deps, job, found.layout, device);
    return found;
  });
  context.log(`image ${job.request.id} is where the root partition of ${path} is, verified`);
  try {
    context.progress({ phase: 'make partitions' });
    // The kernel may remember of kept partitions what was there before: it forgets with the table that it reads anew.
    if (named) await rereadPartitions(os, path);
    const made = named ? await findPartitions(os, path, named) : await makePartitions(os, path, layout);
    await fillPartitions(deps, job, layout, made);
    return await describe(deps, made);
  } catch (error) {
    if (!partition.preserveEphemeral) {
      context.log(`the table of ${path} is taken away again: ${reasonOf(error)}`);
      await withDevice(os, path, 'write', (device) => wipeMetadata(os, device)).catch(() => undefined);
    }
    if (error instanceof AgentError) throw error;
    throw new AgentError('DeploymentError', `cannot make the partitions of ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
