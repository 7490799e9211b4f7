import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { indexEntries, type TarIndex } from '../archive/tar.ts';
import type { MergedHooks } from './hooks.ts';
import type { DibRecipe } from './recipe.ts';
import { type HookText, networkHooks } from './scan.ts';

/** What a manifest says about the hooks of a build. */
export type DibRecord = {
  elements: readonly string[];
  hooks: readonly { phase: string; name: string; element: string }[];
  /** Hooks that fetch things: with them, the same inputs need not give the same bytes. */
  network: readonly { hook: string; element: string; program: string }[];
  /** Commits and digests of what source-repository files named. */
  sources: readonly { name: string; type: string; destination: string; location: string; resolved: string }[];
  /** Packages that elements ask for by name. */
  requested: readonly string[];
  /** Packages in the tree that the hooks left. */
  packages: readonly { name: string; version: string; architecture: string }[];
};

/** Files that stand for device nodes, which cannot be made without being root of the machine, become those. */
export async function withDevices(rows: TarIndex, list: string): Promise<TarIndex> {
  const text = await readFile(list, 'utf8').catch(() => '');
  const devices = new Map(
    text
      .split('\n')
      .map((line) => /^([bcu]) (\d+) (\d+) \/(.+)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, type, major, minor, path = '']) => [path, { type, major: Number(major), minor: Number(minor) }]),
  );
  return rows.map((row) => {
    const device = devices.get(row.path);
    if (device === undefined || row.type !== 'file') return row;
    const { path, mode, uid, gid } = row;
    const { major, minor } = device;
    return { path, mode, uid, gid, major, minor, type: device.type === 'b' ? 'block' : 'character' };
  });
}

async function readSources(list: string): Promise<DibRecord['sources']> {
  const text = await readFile(list, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [name = '', type = '', destination = '', location = '', resolved = ''] = line.split('\t');
      return { name, type, destination, location, resolved };
    });
}

/** Packages that dpkg's status file in the tree names as installed. */
async function installedPackages(index: TarIndex, data: string): Promise<DibRecord['packages']> {
  const status = indexEntries(index, data).find((one) => one.path === 'var/lib/dpkg/status');
  if (status?.type !== 'file' || status.content.kind !== 'slice' || status.size === 0) return [];
  const { offset } = status.content;
  const pieces: Buffer[] = [];
  for await (const piece of createReadStream(data, { start: offset, end: offset + status.size - 1 }))
    pieces.push(piece as Buffer);
  const field = (stanza: string, name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
  return Buffer.concat(pieces)
    .toString('utf8')
    .split('\n\n')
    .filter((stanza) => field(stanza, 'Status').endsWith(' installed'))
    .map((stanza) => ({
      name: field(stanza, 'Package'),
      version: field(stanza, 'Version'),
      architecture: field(stanza, 'Architecture'),
    }));
}

/** @param folder of the build, with the list of sources that its hooks fetched */
export async function makeRecord(
  recipe: DibRecipe,
  hooks: MergedHooks,
  texts: readonly HookText[],
  folder: string,
  tree: { index: TarIndex; data: string },
  requested: readonly string[],
): Promise<DibRecord> {
  const foreign = new Set(recipe.foreign.map((one) => one.name));
  return {
    elements: recipe.elements.map((one) => one.name),
    hooks: [...hooks.scripts].flatMap(([phase, scripts]) =>
      scripts.map((one) => ({ phase, name: basename(one.path), element: one.element })),
    ),
    network: networkHooks(texts.filter((one) => foreign.has(one.file.element))).map(({ hook, program }) => ({
      hook: hook.path,
      element: hook.element,
      program,
    })),
    sources: await readSources(join(folder, 'sources.lock')),
    requested,
    packages: await installedPackages(tree.index, tree.data),
  };
}
