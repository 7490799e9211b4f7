import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { CHECKOUT } from './agent.ts';
import type { Entry } from './archive/entry.ts';
import { checkElement, type Element } from './element/element.ts';
import { builderFailure } from './failures.ts';
import { fileEntry } from './tree/tree.ts';

/** Where the elements are that come with Ingot. */
export const ELEMENTS_FOLDER = join(CHECKOUT, 'elements');

/** Names of the elements in a folder. */
export async function elementNames(folder: string): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return names
    .filter((one) => one.isDirectory())
    .map((one) => one.name)
    .toSorted((a, b) => (a < b ? -1 : 1));
}

async function loadElement(folder: string, name: string): Promise<Element> {
  const path = join(folder, name, 'element.ts');
  if (!(await stat(path).catch(() => undefined))) {
    const known = await elementNames(folder);
    throw builderFailure('ELEMENT_INVALID', `${name}: there is none in ${folder}`, {
      hint: `use one of ${known.join(', ')}`,
    });
  }
  const module = (await import(pathToFileURL(path).href)) as { element?: unknown };
  return checkElement(module.element, name);
}

/**
 * Elements and all that they need, each after what it needs.
 * @throws Failure `ELEMENT_INVALID` for one that does not exist, is malformed, or needs itself
 */
export async function expandElements(names: readonly string[], folder = ELEMENTS_FOLDER): Promise<Element[]> {
  const ordered = new Map<string, Element>();
  const visit = async (name: string, above: readonly string[]): Promise<void> => {
    if (above.includes(name))
      throw builderFailure('ELEMENT_INVALID', `${name}: it needs itself: ${[...above, name].join(' -> ')}`);
    if (ordered.has(name)) return;
    const element = await loadElement(folder, name);
    for (const needed of (element.needs ?? []).toSorted((a, b) => (a < b ? -1 : 1)))
      await visit(needed, [...above, name]);
    ordered.set(name, element);
  };
  for (const name of names) await visit(name, []);
  return [...ordered.values()];
}

/** The files of `elements/<name>/files`: root owns them, and of their modes only the execute bit counts. */
export async function elementFiles(name: string, folder = ELEMENTS_FOLDER): Promise<Entry[]> {
  const root = join(folder, name, 'files');
  const found = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  const entries = await Promise.all(
    found.map(async (one): Promise<Entry | undefined> => {
      const full = join(one.parentPath, one.name);
      const path = full.slice(root.length + 1);
      if (one.isSymbolicLink())
        return { path, mode: 0o777, uid: 0, gid: 0, type: 'symlink', target: await readlink(full) };
      if (!one.isFile()) return undefined;
      const mode = (await stat(full)).mode & 0o100 ? 0o755 : 0o644;
      return fileEntry(path, await readFile(full), mode);
    }),
  );
  return entries.filter((entry) => entry !== undefined).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
