import { basename } from 'node:path';

import type { Architecture } from '../arch/table.ts';
import { dynamicNeeds, elfInterpreter } from './archive/elf.ts';
import type { Entry, FileEntry } from './archive/entry.ts';
import { builderFailure } from './failures.ts';
import { DEBIAN_NODE } from './node.ts';
import type { UnpackedPackage } from './packages.ts';
import { entryBytes } from './tree/bytes.ts';
import { anyMatcher } from './tree/glob.ts';
import { fileEntry } from './tree/tree.ts';

/** Debian's Node on another distribution: in one folder with its own loader and libraries, so that it needs nothing of the base. */
export const NODE_FOLDER = {
  /** Debian release that it comes from. */
  release: 'forky',
  folder: 'opt/ingot/lib',
  loader: 'opt/ingot/lib/ld.so',
  packages: DEBIAN_NODE.packages.map((one) => one.name),
};

/** Overwrites a text in a file with a shorter one. @param fill what the rest of its room becomes */
function overwrite(bytes: Uint8Array, from: string, to: string, fill: string): Buffer {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(`${from}\0`, 0, 'latin1');
  if (at === -1 || to.length > from.length) throw new RangeError(`there is no room for ${to} in place of ${from}`);
  copy.write(to.padEnd(from.length, fill), at, 'latin1');
  return copy;
}

/** A program that asks the kernel for another loader. */
export function withLoader(bytes: Uint8Array, loader: string): Uint8Array {
  return overwrite(bytes, elfInterpreter(bytes) ?? '', loader, '\0');
}

/**
 * glibc's loader with another place to look for libraries: the folder in place of Debian's own, and no cache, because that of the base
 * would lead it to the base's libraries. Both are texts in the file; slashes at the end of a path mean nothing.
 */
export function withLibraries(loader: Uint8Array, folder: string, row: Pick<Architecture, 'multiarch'>): Uint8Array {
  // The list of folders is one text after the other with no zero between them, so the match is by the folder alone.
  const from = `/usr/lib/${row.multiarch}/`;
  const copy = Buffer.from(loader);
  const at = copy.indexOf(from, 0, 'latin1');
  if (at === -1) throw new RangeError(`the loader does not look into ${from}`);
  copy.write(`${folder}/`.padEnd(from.length, '/'), at, 'latin1');
  return overwrite(copy, '/etc/ld.so.cache', `${folder}/-`, '-');
}

type Files = ReadonlyMap<string, Entry>;

function fileOf(files: Files, path: string): FileEntry {
  let entry = files.get(path);
  for (let links = 0; entry?.type === 'symlink' && links < 8; links += 1)
    entry = files.get(new URL(entry.target, `file:///${path}`).pathname.slice(1).replace(/^lib64\//, 'usr/lib64/'));
  if (entry?.type !== 'file') throw builderFailure('CANNOT_PACK', `Debian’s Node comes without /${path}`);
  return entry;
}

/** Libraries that a program needs, with all that those need, under the names by which they are asked for. */
async function libraries(files: Files, program: FileEntry, row: Architecture): Promise<Map<string, FileEntry>> {
  const found = new Map<string, FileEntry>();
  const visit = async (entry: FileEntry): Promise<void> => {
    for (const name of dynamicNeeds(await entryBytes(entry)).libraries) {
      if (found.has(name) || name === basename(row.loader)) continue;
      const library = fileOf(files, `usr/lib/${row.multiarch}/${name}`);
      found.set(name, library);
      await visit(library);
    }
  };
  await visit(program);
  return found;
}

/**
 * The files of the folder, and those that Debian's Node finds by absolute paths.
 * @param packages Debian's packages with Node and all that it needs
 * @param path where Node is to be: `opt/ingot/node`
 */
export async function nodeFolder(
  packages: readonly Pick<UnpackedPackage, 'entries'>[],
  row: Architecture,
  path: string,
): Promise<Entry[]> {
  const files = new Map(packages.flatMap((one) => one.entries).map((entry) => [entry.path, entry]));
  const program = fileOf(files, DEBIAN_NODE.program);
  const loader = fileOf(files, `usr/lib/${row.multiarch}/${basename(row.loader)}`);
  const { folder } = NODE_FOLDER;
  const scripts = DEBIAN_NODE.packages.flatMap((one) => one.only ?? []).filter((glob) => glob.endsWith('.js'));
  return [
    fileEntry(path, withLoader(await entryBytes(program), `/${NODE_FOLDER.loader}`), 0o755),
    fileEntry(NODE_FOLDER.loader, withLibraries(await entryBytes(loader), `/${folder}`, row), 0o755),
    // Libraries name the loader among what they need.
    { path: `${folder}/${basename(row.loader)}`, mode: 0o777, uid: 0, gid: 0, type: 'symlink', target: 'ld.so' },
    ...[...(await libraries(files, program, row))].map(([name, entry]) => ({ ...entry, path: `${folder}/${name}` })),
    ...[...files.values()].filter((one) => one.type === 'file' && anyMatcher(scripts)(one.path)),
  ];
}
