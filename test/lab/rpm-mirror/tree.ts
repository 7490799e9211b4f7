import { basename, dirname, relative } from 'node:path';

import type { Architecture } from '../../../arch/table.ts';
import { dynamicNeeds, elfIdentity } from '../../../builder/archive/elf.ts';
import type { Entry } from '../../../builder/archive/entry.ts';
import { entryBytes } from '../../../builder/tree/bytes.ts';
import { fileEntry } from '../../../builder/tree/tree.ts';
import type { Recipe } from './recipe.ts';

/** Where Debian has a kernel's image from forky on. */
const SPLIT_IMAGE = /^usr\/lib\/modules\/([^/]+)\/vmlinuz$/;

/**
 * A path as openEuler has it: libraries in /usr/lib64, the kernel's image in /boot. Folders that programs find by a path of their
 * own (DT_RUNPATH: systemd's; PAM's modules) stay.
 */
function moved(path: string, recipe: Recipe, row: Architecture): string {
  const libraries = `usr/lib/${row.multiarch}/`;
  const image = SPLIT_IMAGE.exec(path);
  if (image) return `boot/vmlinuz-${image[1]}`;
  const stays = ['systemd/', 'security/'].some((folder) => path.startsWith(libraries + folder));
  if (path.startsWith(libraries) && !stays) return `usr/lib64/${path.slice(libraries.length)}`;
  return recipe.moved?.[path] ?? path;
}

/** Debian's loader looks into Debian's folders; openEuler's into /usr/lib64. Both are text of the same length in the file. */
function patchLoader(bytes: Uint8Array, row: Architecture): Uint8Array {
  const patched = Buffer.from(bytes);
  for (const root of ['/usr/lib', '/lib']) {
    const from = `${root}/${row.multiarch}/`;
    const at = patched.indexOf(`\0${from}\0`) + 1 || patched.indexOf(from);
    if (at > 0) patched.write(`${root}64`.padEnd(from.length, '/'), at, 'latin1');
  }
  return patched;
}

/** @returns undefined for a link that the move makes one to itself */
async function relocate(entry: Entry, recipe: Recipe, row: Architecture): Promise<Entry | undefined> {
  const path = moved(entry.path, recipe, row);
  if (entry.type === 'hardlink') return { ...entry, path, target: moved(entry.target, recipe, row) };
  if (entry.type === 'file' && basename(path) === basename(row.loader)) {
    return fileEntry(path, patchLoader(await entryBytes(entry), row), entry.mode);
  }
  if (entry.type !== 'symlink' || entry.target.startsWith('/')) return { ...entry, path };
  const target = new URL(entry.target, `file:///${entry.path}`).pathname.slice(1);
  const to = moved(decodeURIComponent(target), recipe, row);
  return to === path ? undefined : { ...entry, path, target: relative(dirname(path), to) };
}

/** The files of an RPM, from the Debian packages that it is made of. */
export async function recipeEntries(
  recipe: Recipe,
  packages: readonly { entries: readonly Entry[] }[],
  row: Architecture,
): Promise<Entry[]> {
  const all = await Promise.all(packages.flatMap((one) => one.entries).map((entry) => relocate(entry, recipe, row)));
  const declared: Entry[] = [
    ...Object.entries(recipe.files ?? {}).map(([path, text]) => fileEntry(path, text)),
    ...Object.entries(recipe.links ?? {}).map(([path, target]): Entry => ({
      path,
      mode: 0o777,
      uid: 0,
      gid: 0,
      type: 'symlink',
      target,
    })),
  ];
  const present = all.filter((entry) => entry !== undefined);
  const unique = new Map([...present, ...declared].map((entry) => [entry.path, entry]));
  return [...unique.values()].filter(
    (one) => one.type !== 'directory' && !/^usr\/share\/(doc|man|locale|info|lintian|bug)\//.test(one.path),
  );
}

/** Libraries that the files of a package link, and those that it brings, as RPM names them: `libz.so.1()(64bit)`. */
export async function libraryNames(entries: readonly Entry[]): Promise<{ needs: string[]; brings: string[] }> {
  const needs = new Set<string>();
  const brings = new Set<string>();
  for (const entry of entries) {
    if (/^usr\/lib.*\/(lib|ld-)[^/]+\.so(\.[^/]+)?$/.test(entry.path)) brings.add(`${basename(entry.path)}()(64bit)`);
    if (entry.type !== 'file' || entry.size < 64 || entry.path.endsWith('.ko.xz') || entry.path.startsWith('boot/'))
      continue;
    const bytes = await entryBytes(entry);
    if (elfIdentity(bytes)?.bits === 64)
      for (const name of dynamicNeeds(bytes).libraries) needs.add(`${name}()(64bit)`);
  }
  return { needs: [...needs].filter((name) => !brings.has(name)).toSorted(), brings: [...brings].toSorted() };
}
