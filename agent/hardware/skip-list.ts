import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { DiskModel } from './disk-model.ts';
import { compileHints } from './hints.ts';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use skip_block_devices: ${why}`);
}

/**
 * `{"volume_name": "data"}`: an array by its name, with all the disks that it is on. Its members say the name, too, so that an array
 * which nobody has started is kept as well.
 */
function volumeTest(name: unknown, others: readonly string[]): (disk: DiskModel) => boolean {
  if (typeof name !== 'string' || name.trim() === '') throw refuse('volume_name is no text');
  if (others.length > 0) throw refuse(`volume_name stands alone, and here it has ${others.join(', ')} beside it`);
  const wanted = name.trim();
  const isMember = ({ fstype, label }: { fstype: string | null; label: string | null }) =>
    fstype === 'linux_raid_member' && label?.replace(/^.*:/s, '') === wanted;
  return ({ volumeName, family }) => volumeName === wanted || family.some(isMember);
}

type Entry = { entry: unknown; isMeant: (disk: DiskModel) => boolean; isVolume: boolean };

/** @throws AgentError `InvalidCommandParamsError` for anything that we could not honour to the letter */
function compileEntry(entry: unknown): Entry {
  if (!isObject(entry)) throw refuse('it is no list of hints');
  const { volume_name: name, ...others } = entry;
  if (name !== undefined) return { entry, isMeant: volumeTest(name, Object.keys(others)), isVolume: true };
  const reasons = compileHints(entry);
  return { entry, isMeant: (disk) => reasons(disk).length === 0, isVolume: false };
}

function entriesOf(node: Node | undefined): Entry[] {
  const list = node?.properties?.['skip_block_devices'] ?? [];
  if (!Array.isArray(list)) throw refuse('it is no list of hints');
  return (list as unknown[]).map((entry) => compileEntry(entry));
}

/**
 * The disks that `properties.skip_block_devices` keeps us away from (agent-protocol F.4). Of an array on such a disk every write would
 * go to that disk, so it is kept as well; of one that `volume_name` keeps there may be other arrays beside it, which are not.
 * @param disks all that there are
 * @returns by name, each with the entry that names it, for people
 * @throws AgentError `InvalidCommandParamsError` for a list that makes no sense
 */
export function skipReasons(node: Node | undefined, disks: readonly DiskModel[]): Map<string, string> {
  const skipped = new Map<string, string>();
  for (const { entry, isMeant, isVolume } of entriesOf(node)) {
    const meant = disks.filter((disk) => isMeant(disk));
    const names = new Set(isVolume ? [] : meant.map(({ kname }) => kname));
    const above = disks.filter(({ below }) => below.some(({ kname }) => names.has(kname)));
    for (const { disk } of [...meant, ...above])
      if (!skipped.has(disk.name)) skipped.set(disk.name, JSON.stringify(entry));
  }
  return skipped;
}

/** The names alone: what a guard is told. */
export function skippedDisks(node: Node | undefined, disks: readonly DiskModel[]): Set<string> {
  return new Set(skipReasons(node, disks).keys());
}

/**
 * Entries that no disk matches, for people: of a disk that is gone, or of one that is misspelt and would be erased.
 * @throws AgentError `InvalidCommandParamsError` for a list that makes no sense
 */
export function idleSkips(node: Node | undefined, disks: readonly DiskModel[]): string[] {
  return entriesOf(node)
    .filter(({ isMeant }) => !disks.some((disk) => isMeant(disk)))
    .map(
      ({ entry }) =>
        `skip_block_devices has ${JSON.stringify(entry)}, which no disk of this machine matches: it keeps none`,
    );
}
