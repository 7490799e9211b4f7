import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { reasonOf } from '../system/failure.ts';
import { CHECKOUT } from './agent.ts';
import type { Entry } from './archive/entry.ts';
import { checkElement, type Element } from './element/element.ts';
import { nearest } from '../cli/nearest.ts';
import { orderElements } from './element/order.ts';
import { builderFailure } from './failures.ts';
import { fileEntry } from './tree/tree.ts';

/** Where the elements are that come with Ingot. */
const ELEMENTS_FOLDER = join(CHECKOUT, 'elements');

/** Names of the elements in a folder. */
async function elementNames(folder: string): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return names
    .filter((one) => one.isDirectory())
    .map((one) => one.name)
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** What an element's folder says about it. Outside of this checkout, a JSON file will do. */
const MANIFESTS = ['element.ts', 'element.json'];

async function manifestIn(folder: string): Promise<string | undefined> {
  for (const name of MANIFESTS) if (await stat(join(folder, name)).catch(() => undefined)) return join(folder, name);
  return undefined;
}

async function readManifest(path: string): Promise<unknown> {
  if (path.endsWith('.json')) return JSON.parse(await readFile(path, 'utf8')) as unknown;
  return ((await import(pathToFileURL(path).href)) as { element?: unknown }).element;
}

/** An element of a folder. @throws Failure `ELEMENT_INVALID` when it is malformed, or cannot even be read */
async function readElement(home: string, manifest: string): Promise<Element> {
  const name = basename(home);
  const value = await readManifest(manifest).catch((error: unknown) => {
    throw builderFailure('ELEMENT_INVALID', `${name}: ${manifest} cannot be read: ${reasonOf(error)}`, {
      cause: error,
    });
  });
  return { ...checkElement(value, name), home };
}

/** Where elements are looked for. */
export type ElementSearch = {
  /** Folders with elements; the first that has a name wins. Those that come with Ingot are looked at last. */
  folders: readonly string[];
  /** Told of an element that hides another of the same name. */
  onShadow?: (message: string) => void;
};

const found = (search: ElementSearch) => [...search.folders.map((folder) => resolve(folder)), ELEMENTS_FOLDER];

async function findElement(name: string, search: ElementSearch): Promise<Element | undefined> {
  const homes: { home: string; manifest: string }[] = [];
  for (const folder of new Set(found(search))) {
    const home = join(folder, name);
    const manifest = await manifestIn(home);
    if (manifest !== undefined) homes.push({ home, manifest });
  }
  const [first, second] = homes;
  if (first === undefined) return undefined;
  if (second !== undefined)
    search.onShadow?.(`element ${name} is that of ${first.home}, and not that of ${second.home}`);
  return readElement(first.home, first.manifest);
}

/** All elements that can be had; one that is malformed is not among them, and complains when it is asked for. */
export async function allElements(search: ElementSearch): Promise<Element[]> {
  const folders = [...new Set(found(search))];
  const names = new Set((await Promise.all(folders.map(elementNames))).flat());
  const elements = await Promise.all(
    [...names].map((name) => findElement(name, { folders: search.folders }).catch(() => undefined)),
  );
  return elements.filter((one) => one !== undefined).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Names that elements have, and names that they provide. */
export async function elementNamesOf(search: ElementSearch): Promise<Set<string>> {
  return new Set((await allElements(search)).flatMap((one) => [one.name, ...(one.provides ?? [])]));
}

async function unknownElement(name: string, wantedBy: string | undefined, search: ElementSearch) {
  const known = await allElements(search);
  const providers = known.filter((one) => one.provides?.includes(name)).map((one) => one.name);
  const names = known.map((one) => one.name);
  const meant = nearest(name, names);
  return builderFailure(
    'ELEMENT_INVALID',
    `${name}: there is none in ${found(search).join(', ')}${wantedBy === undefined ? '' : `, and ${wantedBy} needs it`}`,
    {
      hint:
        providers.length > 1
          ? `name the one of ${providers.join(', ')} that is to be ${name}`
          : meant === undefined
            ? `use one of ${names.join(', ')}`
            : `did you mean ${meant}? There are ${names.join(', ')}`,
    },
  );
}

/**
 * Elements and all that they need, each after what it needs. A name that several elements provide is that of the one that is in
 * anyway; a name that only one provides brings it in.
 * @throws Failure `ELEMENT_INVALID` for one that does not exist or is malformed, `ELEMENT_CYCLE`, `ELEMENT_CONFLICT`
 */
export async function expandElements(
  names: readonly string[],
  search: ElementSearch = { folders: [] },
): Promise<Element[]> {
  const chosen = new Map<string, Element>();
  const provided = new Set<string>();
  const wanted = new Map<string, string | undefined>(names.map((name) => [name, undefined]));
  const missing = new Map<string, string | undefined>();
  for (const [name, wantedBy] of wanted) {
    const element = await findElement(name, search);
    if (element === undefined) {
      missing.set(name, wantedBy);
      continue;
    }
    chosen.set(name, element);
    for (const other of element.provides ?? []) provided.add(other);
    // A map that grows while it is walked over is walked over to its end.
    for (const needed of element.needs ?? []) if (!wanted.has(needed)) wanted.set(needed, name);
  }
  for (const [name, wantedBy] of missing) {
    if (provided.has(name)) continue;
    const providers = (await allElements(search)).filter((one) => one.provides?.includes(name));
    const [only, second] = providers;
    if (only === undefined || second !== undefined) throw await unknownElement(name, wantedBy, search);
    return expandElements([...names.filter((one) => one !== name), only.name], search);
  }
  return orderElements([...chosen.values()]);
}

/** The files of an element's folder `files`: root owns them, and of their modes only the execute bit counts. */
export async function elementFiles(element: Pick<Element, 'home'>): Promise<Entry[]> {
  if (element.home === undefined) return [];
  const root = join(element.home, 'files');
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
