import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { cutElf } from '../archive/elf-cut.ts';
import type { FileEntry } from '../archive/entry.ts';
import type { BuilderHost } from '../host/door.ts';
import { entryBytes } from '../tree/bytes.ts';
import { anyMatcher } from '../tree/glob.ts';
import { fileEntry, type Tree } from '../tree/tree.ts';
import { findIcuPackage, icuPackageBytes } from './icu-package.ts';

/** Raised when the same file would give other bytes than before. */
const FORMAT = 1;

/**
 * What a ramdisk does without, each with its reason. What is left is what Node's own build with `--with-intl=small-icu` has:
 * English, and all that does not depend on a language.
 */
const NEEDLESS: Readonly<Record<string, string>> = {
  '*.cnv': 'converters of character sets; UTF-8, UTF-16 and Latin-1 are code, not data',
  'brkitr/*.dict': 'words of languages that are written without spaces',
  'brkitr/*_*.brk': 'rules of line breaking for single languages',
  'translit/*': 'one script into another; JavaScript has no way to ask for it',
  'rbnf/*': 'numbers in words; JavaScript has no way to ask for it',
  'lang/*': 'names of languages (Intl.DisplayNames)',
  'region/*': 'names of countries (Intl.DisplayNames)',
  'confusables.cfu': 'letters that look alike; JavaScript has no way to ask for them',
  'unames.icu': 'names of characters; JavaScript has no way to ask for them',
  '*.spp': 'profiles of string preparation; Node has its own code for host names',
};

/** `de.res`, `coll/sr_Latn_RS.res`, but not `root.res`, `pool.res` or `en_US.res`: all that have no language have longer names. */
const OTHER_LANGUAGE = /^(?:\w+\/)?(?!en(?:_US|_US_POSIX)?\.res$)[a-z]{2,3}(?:_\w+)?\.res$/;

const matchesNeedless = anyMatcher(Object.keys(NEEDLESS));

/** Whether a ramdisk does without an item of ICU's data. */
export function isNeedless(name: string): boolean {
  return matchesNeedless(name) || OTHER_LANGUAGE.test(name);
}

/**
 * Takes out of a Node, or out of the library with ICU's data, what a ramdisk does without. Other languages' texts come out in
 * English then. The same bytes give the same bytes; a file without such data comes back as it is.
 */
export function trimIcu(bytes: Uint8Array): Uint8Array {
  const found = findIcuPackage(bytes);
  if (found === undefined) return bytes;
  const kept = found.items.filter((one) => !isNeedless(one.name));
  const smaller = icuPackageBytes(bytes, found, kept, !isNeedless(found.last));
  const end = found.offset + smaller.byteLength;
  if (end >= found.end) return bytes;
  const copy = Buffer.from(bytes);
  smaller.copy(copy, found.offset);
  copy.fill(0, end, found.end);
  return cutElf(copy, end, found.end);
}

/** ICU's data as a library of its own, which Debian's Node and whatever else links ICU share. */
const LIBRARY = /^libicudata\.so\.[\d.]+$/;

async function trimmedLibrary(host: BuilderHost, entry: FileEntry): Promise<FileEntry> {
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, entry.digest]))
    .digest('hex');
  const file = await host.cache.file('icu', key, async (temporary) => {
    await writeFile(temporary, trimIcu(await entryBytes(entry)));
  });
  const { size, digest } = fileEntry(entry.path, await readFile(file));
  return { ...entry, size, digest, content: { kind: 'slice', file, offset: 0 } };
}

/** Makes a tree's libraries with ICU's data smaller, wherever they lie; what it makes is kept in the cache. */
export async function trimIcuLibraries(host: BuilderHost, tree: Tree): Promise<void> {
  for (const [path, { entry, owner }] of tree)
    if (entry.type === 'file' && LIBRARY.test(basename(path)))
      tree.set(path, { entry: await trimmedLibrary(host, entry), owner });
}
