import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { DiskModel } from './disk-model.ts';
import { rootDeviceHints } from './root-disk.ts';

type Logical = { volume_name?: unknown; is_root_volume?: unknown; controller?: unknown };

/** The logical disks of software RAID that Ironic knows the node to have. */
function softwareDisks(node: Node | undefined): Logical[] {
  const list = node?.raid_config?.['logical_disks'];
  if (!Array.isArray(list)) return [];
  return (list as (Logical | null)[]).filter((one): one is Logical => one?.controller === 'software');
}

/** Whether a node is known, or said, to have arrays: then they have to be started before its disks are chosen from. */
export function mayHaveArrays(node: Node | undefined): boolean {
  if (softwareDisks(node).length > 0) return true;
  const hints = rootDeviceHints(node) ?? {};
  const skipped = JSON.stringify(node?.properties?.['skip_block_devices'] ?? []);
  return (
    'volume_name' in hints || skipped.includes('"volume_name"') || /\/md/.test(JSON.stringify(hints['name'] ?? ''))
  );
}

type Candidate = Pick<DiskModel, 'disk' | 'volumeName' | 'below' | 'kind'>;

/**
 * The array that the node's RAID configuration calls the root volume: images go there whatever the hints say, and whatever its size (IPA).
 * @returns undefined where the node has none, or where it is not there and hints say what else will do
 * @throws AgentError `DeviceNotFound` when it is not there
 */
export function rootVolume<T extends Candidate>(node: Node | undefined, disks: readonly T[]): T | undefined {
  const wanted = softwareDisks(node).find((one) => one.is_root_volume === true)?.volume_name;
  if (wanted === undefined || wanted === null) return undefined;
  const arrays = disks.filter(({ kind }) => kind === 'array');
  const found = arrays.find(({ volumeName }) => volumeName === wanted);
  if (found !== undefined || rootDeviceHints(node) !== undefined) return found;
  throw new AgentError(
    'DeviceNotFound',
    `cannot choose the root disk: the array ${JSON.stringify(wanted)}, which the node's raid_config calls the root volume, is not there. The arrays that are: ${arrays.map(({ disk, volumeName }) => `${disk.name} (${volumeName ?? 'no name'})`).join(', ') || 'none'}`,
  );
}

/** What of the disks an image may go to: never an array that the node says is no root volume, never a disk that an array stands on. */
export function rootCandidates<T extends Candidate>(node: Node | undefined, disks: readonly T[]): T[] {
  const excluded = softwareDisks(node)
    .filter((one) => one.is_root_volume === false)
    .map((one) => one.volume_name);
  const arrays = disks.filter(({ kind }) => kind === 'array');
  const under = new Set(arrays.flatMap(({ below }) => below.map(({ kname }) => `/dev/${kname}`)));
  return disks.filter(
    ({ disk, volumeName }) => !under.has(disk.name) && !(volumeName !== undefined && excluded.includes(volumeName)),
  );
}
