import { readFile } from 'node:fs/promises';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

import { reasonOf } from '../system/failure.ts';
import { builderFailure } from './failures.ts';

const RowSchema = Type.Object({
  layer: Type.String(),
  element: Type.String(),
  source: Type.String(),
  files: Type.Integer(),
  unpackedBytes: Type.Integer(),
  bytes: Type.Integer(),
});

/** What of a manifest says where the bytes go. */
const ExplainedSchema = Type.Object({
  arch: Type.String(),
  release: Type.String(),
  kernel: Type.Object({ version: Type.String(), bytes: Type.Integer() }),
  initramfs: Type.Object({ bytes: Type.Integer() }),
  packages: Type.Array(
    Type.Object({ name: Type.String(), version: Type.String(), reason: Type.Optional(Type.String()) }),
  ),
  usage: Type.Object({ total: Type.Integer(), rows: Type.Array(RowSchema) }),
});

export type Explained = Static<typeof ExplainedSchema>;
type Row = Static<typeof RowSchema>;

/** A line of a table: what, and what it has of kernel and initramfs. */
export type Share = { name: string; bytes: number; unpackedBytes: number; files: number };

/**
 * Reads the manifest of a build.
 * @param name path of the results without their endings, or of the manifest itself
 * @throws Failure `NOTHING_TO_EXPLAIN`, also when its rows do not add up to the files
 */
export async function readExplained(name: string): Promise<Explained> {
  const path = name.endsWith('.json') ? name : `${name}.manifest.json`;
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw builderFailure('NOTHING_TO_EXPLAIN', `${path}: ${reasonOf(error)}`, { cause: error });
  }
  if (!Value.Check(ExplainedSchema, value)) {
    const [first] = Value.Errors(ExplainedSchema, value);
    const where = first?.instancePath.replace(/^\//, '').replaceAll('/', '.');
    throw builderFailure('NOTHING_TO_EXPLAIN', `${path}: ${where || 'it'} ${first?.message ?? 'is no manifest'}`);
  }
  const sum = value.usage.rows.reduce((total, row) => total + row.bytes, 0);
  const files = value.kernel.bytes + value.initramfs.bytes;
  if (sum !== files)
    throw builderFailure('NOTHING_TO_EXPLAIN', `${path}: its rows have ${sum} bytes, kernel and initramfs ${files}`);
  return value;
}

/** Rows summed up by a word of each, largest first. */
export function sharesBy(rows: readonly Row[], word: (row: Row) => string): Share[] {
  const shares = [...Map.groupBy(rows, word)].map(([name, same]) => ({
    name,
    bytes: same.reduce((sum, row) => sum + row.bytes, 0),
    unpackedBytes: same.reduce((sum, row) => sum + row.unpackedBytes, 0),
    files: same.reduce((sum, row) => sum + row.files, 0),
  }));
  return shares.toSorted((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
}

/** What a row is called in tables. */
export const sourceOf = (row: Row) => `${row.element}: ${row.source}`;

/** The three views of one build; each accounts for all of it. */
export function explain({ usage }: Explained): { layers: Share[]; elements: Share[]; sources: Share[] } {
  return {
    layers: sharesBy(usage.rows, (row) => row.layer),
    elements: sharesBy(usage.rows, (row) => row.element),
    sources: sharesBy(usage.rows, sourceOf),
  };
}

export type Change = { name: string; before: number; after: number };

/** What grew, shrank, came and went between two builds, the largest change first; and the packages that are not the same. */
export function compare(before: Explained, after: Explained) {
  const changes = (word: (row: Row) => string): Change[] => {
    const [old, now] = [before, after].map(
      (one) => new Map(sharesBy(one.usage.rows, word).map((share) => [share.name, share.bytes])),
    ) as [Map<string, number>, Map<string, number>];
    return [...new Set([...old.keys(), ...now.keys()])]
      .map((name) => ({ name, before: old.get(name) ?? 0, after: now.get(name) ?? 0 }))
      .filter((one) => one.before !== one.after)
      .toSorted((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || (a.name < b.name ? -1 : 1));
  };
  const versions = (one: Explained) => new Map(one.packages.map(({ name, version }) => [name, version]));
  const [old, now] = [versions(before), versions(after)];
  const packages = [...new Set([...old.keys(), ...now.keys()])]
    .map((name) => ({ name, before: old.get(name), after: now.get(name) }))
    .filter((one) => one.before !== one.after)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    layers: changes((row) => row.layer),
    elements: changes((row) => row.element),
    sources: changes(sourceOf),
    packages,
  };
}
