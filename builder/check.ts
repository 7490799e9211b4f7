import { dirname, normalize } from 'node:path';

import type { Architecture } from '../arch/table.ts';
import { dynamicNeeds, type ElfIdentity, elfIdentity, elfInterpreter } from './archive/elf.ts';
import type { FileEntry } from './archive/entry.ts';
import { mergedPath } from './debian/paths.ts';
import { builderFailure } from './failures.ts';
import { NODE_FOLDER } from './node-folder.ts';
import { entryBytes, readEntry } from './tree/bytes.ts';
import type { Tree } from './tree/tree.ts';

const FIRMWARE = 'usr/lib/firmware/';

/** Where the loader looks. */
function libraryFolders(row: Architecture): string[] {
  return [`usr/lib/${row.multiarch}/`, 'usr/lib/', 'usr/lib64/'];
}

/** A folder of DT_RUNPATH as a path of the tree, with a slash at its end. */
function runPath(folder: string, path: string): string {
  const absolute = folder.replace(/^\$(ORIGIN|\{ORIGIN\})/, `/${dirname(path)}`);
  return `${mergedPath(normalize(absolute))}/`;
}

/** What is wrong with a file's machine, word size or ABI; undefined when it fits. */
export function elfMismatch(identity: ElfIdentity, path: string, { elf }: Architecture): string | undefined {
  if (identity.bits !== 64 || !identity.littleEndian)
    return `/${path} is ${identity.bits}-bit ${identity.littleEndian ? 'little' : 'big'}-endian, not 64-bit little-endian`;
  if (identity.machine !== elf.machine) return `/${path} is for machine ${identity.machine}, not ${elf.machine}`;
  const { mask, value } = path.endsWith('.ko') ? elf.moduleFlags : elf.flags;
  if ((identity.flags & mask) === value) return undefined;
  const hex = (number: number) => `0x${number.toString(16)}`;
  return `/${path} is for another ABI: its flags are ${hex(identity.flags)}, and ${hex(value)} of ${hex(mask)} is wanted`;
}

/**
 * Checks every ELF file of a finished tree: built for this architecture and its ABI, started by its loader, and every library
 * that it names is there. Firmware is left out: it is for processors of its own.
 * @throws Failure `CANNOT_PACK` that names the files
 */
export async function checkElfFiles(tree: Tree, row: Architecture): Promise<void> {
  const folders = libraryFolders(row);
  const problems: string[] = [];
  for (const { entry } of tree.values()) {
    if (entry.type !== 'file' || entry.path.startsWith(FIRMWARE)) continue;
    const identity = await identityOf(entry);
    if (identity === undefined) continue;
    const mismatch = elfMismatch(identity, entry.path, row);
    if (mismatch !== undefined) problems.push(mismatch);
    if (identity.bits !== 64 || entry.path.endsWith('.ko')) continue;
    const bytes = await entryBytes(entry);
    const loader = elfInterpreter(bytes);
    const isOwn = entry.path.startsWith('opt/ingot/') && tree.has(NODE_FOLDER.loader);
    const isRight = loader === row.loader || (isOwn && loader === `/${NODE_FOLDER.loader}`);
    if (loader !== undefined && !isRight) problems.push(`/${entry.path} is started by ${loader}, not by ${row.loader}`);
    const needs = dynamicNeeds(bytes);
    const searched = [
      ...(isOwn ? [`${NODE_FOLDER.folder}/`] : folders),
      ...needs.folders.map((folder) => runPath(folder, entry.path)),
    ];
    const missing = needs.libraries.filter((name) => !searched.some((folder) => tree.has(folder + name)));
    if (missing.length > 0) problems.push(`/${entry.path} needs ${missing.join(', ')}`);
  }
  if (problems.length > 0) throw builderFailure('CANNOT_PACK', problems.slice(0, 20).join('\n'));
}

async function identityOf(entry: FileEntry): Promise<ElfIdentity | undefined> {
  for await (const head of readEntry({ ...entry, size: Math.min(entry.size, 64) })) return elfIdentity(head);
  return undefined;
}
