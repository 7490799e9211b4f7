import type { Node } from '../api/command.ts';
import type { DiskModel } from '../hardware/disk-model.ts';
import { skippedDisks } from '../hardware/skip-list.ts';
import type { MdArray } from './arrays.ts';
import { ESP_ARRAY } from './config.ts';

/** What happens to an array that is not wanted any more. `wipe`: what is on it goes, it stays itself. */
export type Fate = { array: MdArray; fate: 'keep' | 'wipe' | 'delete'; why: string };

/** What skip_block_devices keeps: arrays by name, and disks by every other hint. */
export type SkipList = { names: ReadonlySet<string>; disks: ReadonlySet<string> };

/** @throws AgentError `InvalidCommandParamsError` for hints that make no sense */
export function readSkipList(node: Node, disks: readonly DiskModel[]): SkipList {
  const value = node.properties?.['skip_block_devices'] ?? [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const isName = (hints: unknown): hints is { volume_name: unknown } =>
    typeof hints === 'object' && hints !== null && 'volume_name' in hints;
  // Refuses what cannot be honoured; the erase goes by the same list, and must not keep what this takes away.
  skippedDisks(node, disks);
  const names = list.filter(isName).map((hints) => String(hints.volume_name).trim());
  const others = Array.isArray(value) ? list.filter((hints) => !isName(hints)) : value;
  const rest = { ...node, properties: { ...node.properties, skip_block_devices: others } };
  return { names: new Set(names), disks: skippedDisks(rest, disks) };
}

/**
 * As IPA decides (agent-protocol F.4): an array that skip_block_devices names is kept; others on its disks lose what is on them and
 * stay, but for the mirror of the EFI system partitions, which is kept whole. An array with a member on a disk that is kept is kept.
 */
export function fatesOf(arrays: readonly MdArray[], { names, disks }: SkipList): Fate[] {
  const named = arrays.filter(({ name }) => name !== undefined && names.has(name));
  return arrays.map((array): Fate => {
    if (named.includes(array)) return { array, fate: 'keep', why: 'skip_block_devices names it' };
    const kept = array.disks.find((disk) => disks.has(disk));
    if (kept !== undefined) return { array, fate: 'keep', why: `skip_block_devices names ${kept}, which it stands on` };
    const neighbour = named.find((other) => other.disks.some((disk) => array.disks.includes(disk)));
    if (neighbour === undefined) return { array, fate: 'delete', why: '' };
    return {
      array,
      fate: array.name === ESP_ARRAY ? 'keep' : 'wipe',
      why: `it is on the disks of ${neighbour.device} (${neighbour.name}), which skip_block_devices names`,
    };
  });
}
