import { dirname, normalize } from 'node:path';

import type { Architecture } from '../arch/table.ts';
import { elfMachine, dynamicNeeds } from './archive/elf.ts';
import type { FileEntry } from './archive/entry.ts';
import { mergedPath } from './debian/paths.ts';
import { builderFailure } from './failures.ts';
import { entryBytes } from './tree/bytes.ts';
import type { Tree } from './tree/tree.ts';

const MAY_BE_ELF = /^(usr\/(bin|sbin|lib|lib64|libexec)|opt)\//;

/** Where the loader looks. */
function libraryFolders(row: Architecture): string[] {
  return [`usr/lib/${row.multiarch}/`, 'usr/lib/', 'usr/lib64/'];
}

/** A folder of DT_RUNPATH as a path of the tree, with a slash at its end. */
function runPath(folder: string, path: string): string {
  const absolute = folder.replace(/^\$(ORIGIN|\{ORIGIN\})/, `/${dirname(path)}`);
  return `${mergedPath(normalize(absolute))}/`;
}

/**
 * Checks every program and library of a finished tree: built for this architecture, and every library that it names is there.
 * @throws Failure `CANNOT_PACK` that names the files
 */
export async function checkElfFiles(tree: Tree, row: Architecture): Promise<void> {
  const folders = libraryFolders(row);
  const problems: string[] = [];
  for (const { entry } of tree.values()) {
    if (entry.type !== 'file' || !MAY_BE_ELF.test(entry.path) || /\.ko$|^usr\/lib\/firmware\//.test(entry.path))
      continue;
    const bytes = await elfBytes(entry);
    if (bytes === undefined) continue;
    const machine = elfMachine(bytes);
    if (machine !== row.elfMachine) problems.push(`/${entry.path} is for machine ${machine}, not ${row.elfMachine}`);
    const needs = dynamicNeeds(bytes);
    const searched = [...folders, ...needs.folders.map((folder) => runPath(folder, entry.path))];
    const missing = needs.libraries.filter((name) => !searched.some((folder) => tree.has(folder + name)));
    if (missing.length > 0) problems.push(`/${entry.path} needs ${missing.join(', ')}`);
  }
  if (problems.length > 0) throw builderFailure('CANNOT_PACK', problems.slice(0, 20).join('\n'));
}

async function elfBytes(entry: FileEntry): Promise<Uint8Array | undefined> {
  if (entry.size < 64) return undefined;
  const bytes = await entryBytes(entry);
  return elfMachine(bytes) === undefined ? undefined : bytes;
}
