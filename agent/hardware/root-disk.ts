import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { Disk } from '../api/inventory.ts';
import type { DiskRecord } from './disk-model.ts';
import { compileHints, type Hints } from './hints.ts';

/** Without hints, smaller disks are no root disks (agent-protocol G.3). */
const LEAST_ROOT_BYTES = 4 * 1024 ** 3;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', why);
}

/** The hints of a node: those of the instance before those of the machine. Undefined when it has none. */
export function rootDeviceHints(node: Node | undefined): Hints | undefined {
  for (const value of [node?.instance_info?.['root_device'], node?.properties?.['root_device']]) {
    if (value === undefined || value === null) continue;
    if (!isObject(value)) throw refuse('cannot use the root device hints: root_device is no object');
    if (Object.keys(value).length > 0) return value;
  }
  return undefined;
}

/**
 * Which disks `properties.skip_block_devices` keeps us away from.
 * @throws AgentError `InvalidCommandParamsError` for anything that we could not honour to the letter
 */
export function skippedDisks(node: Node | undefined, records: readonly DiskRecord[]): Set<string> {
  const list = node?.properties?.['skip_block_devices'] ?? [];
  if (!Array.isArray(list)) throw refuse('cannot use skip_block_devices: it is no list of hints');
  const skipped = new Set<string>();
  for (const hints of list as unknown[]) {
    if (!isObject(hints)) throw refuse('cannot use skip_block_devices: it is no list of hints');
    if ('volume_name' in hints)
      throw refuse('cannot use skip_block_devices: volume_name needs software RAID, which this agent does not do yet');
    const reasons = compileHints(hints);
    for (const record of records) if (reasons(record).length === 0) skipped.add(record.disk.name);
  }
  return skipped;
}

/** Whether a node says anything about which of its disks an image may go to. */
export function choosesDisk(node: Node | undefined): boolean {
  return [
    node?.instance_info?.['root_device'],
    node?.properties?.['root_device'],
    node?.properties?.['skip_block_devices'],
  ].some((value) => value !== undefined && value !== null);
}

function showDisk({ disk }: DiskRecord): string {
  const facts = [`${(disk.size / 1024 ** 3).toFixed(2)} GiB`, disk.model, disk.serial && `serial ${disk.serial}`];
  return `${disk.name} (${facts.filter(Boolean).join(', ')})`;
}

function chooseByHints(hints: Hints, records: readonly DiskRecord[]): Disk {
  const reasons = compileHints(hints);
  const matching = records.filter((record) => reasons(record).length === 0);
  const [only, another] = matching;
  const shown = JSON.stringify(hints);
  if (only && !another) return only.disk;
  if (only)
    throw new AgentError(
      'DeviceNotFound',
      `cannot choose the root disk: ${matching.length} disks match the hints ${shown}: ${matching.map((record) => showDisk(record)).join('; ')}; add a hint that only one of them has, such as serial or wwn`,
    );
  const why = records.map((record) => `${showDisk(record)}: ${reasons(record).join(', ')}`);
  throw new AgentError(
    'DeviceNotFound',
    `cannot choose the root disk: none matches the hints ${shown}. ${why.join('; ') || 'There are no disks'}`,
  );
}

/** The smallest disk of at least 4 GiB, by name where sizes are equal. */
function chooseSmallest(records: readonly DiskRecord[]): Disk {
  const [smallest] = records
    .map(({ disk }) => disk)
    .filter(({ size }) => size >= LEAST_ROOT_BYTES)
    .toSorted((a, b) => a.size - b.size || (a.name < b.name ? -1 : 1));
  if (smallest) return smallest;
  const shown = records.map((record) => showDisk(record)).join('; ') || 'there are no disks';
  throw new AgentError('DeviceNotFound', `cannot choose the root disk: none has 4 GiB or more (${shown})`);
}

/**
 * Chooses the disk that an image goes to. Unlike ironic-python-agent, which takes the first disk that matches, two disks that match
 * are refused: which of them comes first is not the same at every boot.
 * @throws AgentError `DeviceNotFound` that lists the disks and what is wrong with each
 */
export function chooseRootDisk(node: Node | undefined, records: readonly DiskRecord[]): Disk {
  const skipped = skippedDisks(node, records);
  const usable = records.filter(({ disk }) => !skipped.has(disk.name));
  const hints = rootDeviceHints(node);
  return hints ? chooseByHints(hints, usable) : chooseSmallest(usable);
}
