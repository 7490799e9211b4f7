import { dirname, join } from 'node:path';

import type { Entry } from '../archive/entry.ts';
import { globMatcher } from '../tree/glob.ts';
import type { KernelModule } from './modules.ts';

const FOLDER = 'usr/lib/firmware/';
const LONGEST_CHAIN = 8;

/** Endings that the kernel tries besides the name that a module asks for (drivers/base/firmware_loader/main.c). */
const COMPRESSED = ['', '.zst', '.xz'];

export type FirmwareChoice = {
  byPackage: [packageName: string, entries: Entry[]][];
  /** Names that modules ask for and no package has; modules name old versions, too, so most of these do not matter. */
  missing: string[];
};

/** The firmware files that modules ask for, with the links that lead to them. */
export function selectFirmware(
  modules: readonly Pick<KernelModule, 'firmware'>[],
  packages: readonly { name: string; entries: readonly Entry[] }[],
): FirmwareChoice {
  const all = new Map<string, { entry: Entry; from: string }>();
  for (const { name, entries } of packages)
    for (const entry of entries)
      if (entry.type !== 'directory' && entry.path.startsWith(FOLDER)) all.set(entry.path, { entry, from: name });
  const chosen = new Map<string, { entry: Entry; from: string }>();
  const take = (path: string, depth = 0): boolean => {
    const found = all.get(path);
    if (found === undefined || depth > LONGEST_CHAIN) return false;
    if (found.entry.type === 'symlink' && !take(join('/', dirname(path), found.entry.target).slice(1), depth + 1))
      return false; // a link to nothing is of no use
    chosen.set(path, found);
    return true;
  };
  const names = [...new Set(modules.flatMap((one) => one.firmware))].toSorted((a, b) => (a < b ? -1 : 1));
  const missing = names.filter((name) => {
    const paths = name.includes('*')
      ? [...all.keys()].filter(globMatcher(`${FOLDER}${name}{,.zst,.xz}`))
      : COMPRESSED.map((ending) => FOLDER + name + ending);
    return paths.filter((path) => take(path)).length === 0; // all of them are taken, not only the first
  });
  const groups = Map.groupBy(chosen.values(), (one) => one.from);
  return { byPackage: [...groups].map(([name, list]) => [name, list.map((one) => one.entry)]), missing };
}
