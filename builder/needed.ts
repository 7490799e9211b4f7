import { basename } from 'node:path';

import { dynamicNeeds } from './archive/elf.ts';
import { entryBytes } from './tree/bytes.ts';
import { anyMatcher } from './tree/glob.ts';
import type { Owned, Tree } from './tree/tree.ts';

/** Paths that cannot name a library: neither modules nor firmware have needs that the loader would meet. */
const NO_PROGRAM = /^usr\/lib\/firmware\/|\.ko$/;

/** The names of libraries that a file asks the loader for, or that a link leads to. */
async function namesWanted({ entry }: Owned): Promise<string[]> {
  if (entry.type === 'symlink' || entry.type === 'hardlink') return [basename(entry.target)];
  if (entry.type !== 'file' || NO_PROGRAM.test(entry.path)) return [];
  return dynamicNeeds(await entryBytes(entry)).libraries;
}

/**
 * Takes libraries out of a tree that nothing in it needs: no program, no other library that stays.
 * @param globs which libraries this is asked of; all others stay. One that a program loads by itself, at its own time, must not be
 *   among them
 * @returns their paths
 */
export async function leaveOutUnneeded(tree: Tree, globs: readonly string[]): Promise<string[]> {
  const matches = anyMatcher(globs);
  const undecided = new Map([...tree].filter(([path, { entry }]) => entry.type !== 'directory' && matches(path)));
  let round = [...tree].filter(([path]) => !undecided.has(path)).map(([, owned]) => owned);
  while (round.length > 0 && undecided.size > 0) {
    const wanted = new Set<string>();
    for (const owned of round) for (const name of await namesWanted(owned)) wanted.add(name);
    const found = [...undecided].filter(([path]) => wanted.has(basename(path)));
    for (const [path] of found) undecided.delete(path);
    round = found.map(([, owned]) => owned);
  }
  for (const path of undecided.keys()) tree.delete(path);
  return [...undecided.keys()];
}
