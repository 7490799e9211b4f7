import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { Disk } from '../api/inventory.ts';
import type { DiskModel, NotADisk } from './disk-model.ts';
import { compileHints, type Hints } from './hints.ts';
import { skipReasons } from './skip-list.ts';

/** Without hints, smaller disks are no root disks (agent-protocol G.3). */
const LEAST_ROOT_BYTES = 4 * 1024 ** 3;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', why);
}

/** Every disk that there is is named by the node's own list: waiting for another one would be waiting for nothing. */
export class AllDisksSkipped extends AgentError {}

/** The hints of a node: those of the instance before those of the machine. Undefined when it has none. */
export function rootDeviceHints(node: Node | undefined): Hints | undefined {
  for (const value of [node?.instance_info?.['root_device'], node?.properties?.['root_device']]) {
    if (value === undefined || value === null) continue;
    if (!isObject(value)) throw refuse('cannot use the root device hints: root_device is no object');
    if (Object.keys(value).length > 0) return value;
  }
  return undefined;
}

/** Whether a node says anything about which of its disks an image may go to. */
export function choosesDisk(node: Node | undefined): boolean {
  return [
    node?.instance_info?.['root_device'],
    node?.properties?.['root_device'],
    node?.properties?.['skip_block_devices'],
  ].some((value) => value !== undefined && value !== null);
}

/** A disk and why it cannot be the root disk; without reasons it can. */
export type Candidate = { disk: DiskModel; reasons: string[] };

/** What comes of the choice: the disk, or why there is none; and what speaks against each of the others. */
export type Choice = {
  candidates: Candidate[];
  chosen: DiskModel | undefined;
  /** Undefined when there is one. */
  problem: AgentError | undefined;
};

function showDisk({ disk }: DiskModel): string {
  const facts = [`${(disk.size / 1024 ** 3).toFixed(2)} GiB`, disk.model, disk.serial && `serial ${disk.serial}`];
  return `${disk.name} (${facts.filter(Boolean).join(', ')})`;
}

/** What speaks against a disk whatever the hints say. */
function always(disk: DiskModel, skipped: ReadonlyMap<string, string>): string[] {
  const entry = skipped.get(disk.disk.name);
  return [
    ...(entry === undefined ? [] : [`skip_block_devices names it with ${entry}`]),
    ...(disk.virtualMedia === undefined ? [] : [`it is virtual media: ${disk.virtualMedia}`]),
  ];
}

/** What speaks against a disk that nobody named. */
function unnamed({ disk, isRemovable, isReadOnly, family, kname }: DiskModel): string[] {
  const holder = family.find((block) => block.kname !== kname && block.type.includes('raid'));
  return [
    ...(disk.size < LEAST_ROOT_BYTES ? ['it has less than 4 GiB'] : []),
    ...(isRemovable ? ['it is removable, and no hint names it'] : []),
    ...(isReadOnly ? ['it is read-only'] : []),
    ...(holder ? [`it is a member of the array /dev/${holder.kname}`] : []),
  ];
}

function explain(candidates: readonly Candidate[], others: readonly NotADisk[]): string {
  const lines = [
    ...candidates.map(({ disk, reasons }) => `${showDisk(disk)}: ${reasons.join(', ')}`),
    ...others.filter(({ kind }) => kind !== 'optical').map(({ name, why }) => `${name}: ${why}`),
  ];
  return lines.join('; ') || 'There are no disks';
}

function noneLeft(candidates: readonly Candidate[], others: readonly NotADisk[], skipped: number, what: string) {
  const text = `cannot choose the root disk: ${what}. ${explain(candidates, others)}`;
  return candidates.length > 0 && skipped === candidates.length
    ? new AllDisksSkipped('DeviceNotFound', text)
    : new AgentError('DeviceNotFound', text);
}

function twoMatch(hints: Hints, matching: readonly Candidate[]): AgentError {
  const shown = matching.map(({ disk }) => showDisk(disk)).join('; ');
  return new AgentError(
    'DeviceNotFound',
    `cannot choose the root disk: ${matching.length} disks match the hints ${JSON.stringify(hints)}: ${shown}; add a hint that only one of them has, such as serial or wwn`,
  );
}

/**
 * Chooses the disk that an image goes to and says of every disk why it was or was not chosen.
 *
 * Unlike ironic-python-agent, which takes the first disk that matches the hints, two disks that match are refused: which of them comes
 * first is not the same at every boot. Without hints it is the smallest of at least 4 GiB that is not removable; of two equally small
 * ones the first by where it is plugged in, which is the same at every boot.
 * @param disks in a stable order
 * @throws AgentError `InvalidCommandParamsError` for hints or a skip list that make no sense
 */
export function considerRootDisk(
  node: Node | undefined,
  disks: readonly DiskModel[],
  others: readonly NotADisk[] = [],
): Choice {
  const skipped = skipReasons(node, disks);
  const hints = rootDeviceHints(node);
  const mismatches = hints === undefined ? undefined : compileHints(hints);
  const candidates = disks.map((disk): Candidate => {
    const ruledOut = always(disk, skipped);
    return { disk, reasons: ruledOut.length > 0 ? ruledOut : (mismatches?.(disk) ?? unnamed(disk)) };
  });
  const possible = candidates.filter(({ reasons }) => reasons.length === 0);
  if (hints !== undefined && possible.length > 1)
    return { candidates, chosen: undefined, problem: twoMatch(hints, possible) };
  const [best] = possible.toSorted((a, b) => a.disk.disk.size - b.disk.disk.size);
  if (best === undefined) {
    const what =
      hints === undefined ? 'no disk of 4 GiB or more is left' : `none matches the hints ${JSON.stringify(hints)}`;
    return { candidates, chosen: undefined, problem: noneLeft(candidates, others, skipped.size, what) };
  }
  const lost = (other: Candidate) =>
    other.disk.disk.size === best.disk.disk.size
      ? `it is as small as ${best.disk.disk.name}, which is plugged in before it`
      : `it is larger than ${best.disk.disk.name}`;
  return {
    candidates: candidates.map((one) =>
      one === best || one.reasons.length > 0 ? one : { disk: one.disk, reasons: [lost(one)] },
    ),
    chosen: best.disk,
    problem: undefined,
  };
}

/**
 * The disk that an image goes to.
 * @throws AgentError `DeviceNotFound` that lists the disks and what is wrong with each; `AllDisksSkipped` when all are on the skip list
 */
export function chooseRootDisk(
  node: Node | undefined,
  disks: readonly DiskModel[],
  others: readonly NotADisk[] = [],
): Disk {
  const { chosen, problem } = considerRootDisk(node, disks, others);
  if (problem !== undefined) throw problem;
  if (chosen === undefined) throw new AgentError('DeviceNotFound', 'cannot choose the root disk');
  return chosen.disk;
}
