import type { Entry, FileEntry } from './archive/entry.ts';
import type { Element } from './element/element.ts';
import { builderFailure } from './failures.ts';
import { entryBytes } from './tree/bytes.ts';
import { globMatcher } from './tree/glob.ts';
import { fileEntry, type Part } from './tree/tree.ts';

async function joinedBytes(files: readonly FileEntry[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (const file of files) {
    const bytes = await entryBytes(file);
    pieces.push(bytes);
    if (bytes.length > 0 && bytes.at(-1) !== 0x0a) pieces.push(Buffer.from('\n'));
  }
  return Buffer.concat(pieces);
}

/**
 * Makes files of others, as elements say it in `joined`: their bytes in the order of their paths, each with a line end at its end.
 * @returns the parts without what files were made of, and one more for each element that makes some
 * @throws Failure `CANNOT_PACK` when there is nothing to make one of
 */
export async function withJoinedFiles(elements: readonly Element[], parts: readonly Part[]): Promise<Part[]> {
  let left = [...parts];
  const made: Part[] = [];
  for (const element of elements) {
    const entries: Entry[] = [];
    for (const [path, { from }] of Object.entries(element.joined ?? {})) {
      const matches = globMatcher(from);
      const files = left
        .flatMap((part) => part.entries.filter((entry) => entry.type === 'file' && matches(entry.path)))
        .filter((entry) => entry.type === 'file')
        .toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
      if (files.length === 0)
        throw builderFailure('CANNOT_PACK', `${element.name} makes /${path} of /${from}, and there is nothing`);
      entries.push(fileEntry(path, await joinedBytes(files)));
      left = left.map((part) => ({ ...part, entries: part.entries.filter((entry) => !matches(entry.path)) }));
    }
    if (entries.length > 0)
      made.push({ owner: { element: element.name, source: 'joined', layer: 'elements' }, entries, overrides: true });
  }
  return [...left, ...made];
}
