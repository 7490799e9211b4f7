import { constants, createZstdCompress } from 'node:zlib';
import { Readable } from 'node:stream';

import type { Entry } from './archive/entry.ts';
import { readEntry } from './tree/bytes.ts';
import { FOLDER_OWNER, type Tree } from './tree/tree.ts';

/** Where bytes of the finished kernel and initramfs go. */
export type Usage = {
  layer: string;
  element: string;
  /** Package, group of modules, `files` of an element. */
  source: string;
  files: number;
  unpackedBytes: number;
  /** Its share of the compressed layer. The shares of a layer add up to the layer; how they divide is an estimate. */
  bytes: number;
};

/**
 * Divides a whole number by weights without losing any of it: the largest remainders get what rounding leaves.
 * @returns one whole number for each weight; they add up to `total`
 */
export function apportion(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  if (weights.length === 0) return [];
  const even = sum === 0;
  const exact = weights.map((weight) => (even ? total / weights.length : (total * weight) / sum));
  const shares = exact.map(Math.floor);
  const left = total - shares.reduce((a, b) => a + b, 0);
  const order = exact
    .map((value, index) => ({ index, rest: value - Math.floor(value) }))
    .toSorted((a, b) => b.rest - a.rest || a.index - b.index);
  for (const { index } of order.slice(0, left)) shares[index] = (shares[index] ?? 0) + 1;
  return shares;
}

async function quickSize(entries: readonly Entry[]): Promise<number> {
  async function* contents() {
    for (const entry of entries) if (entry.type === 'file') yield* readEntry(entry);
  }
  const compressed = Readable.from(contents(), { objectMode: true }).pipe(
    createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  );
  let size = 60 * entries.length; // what names and headers come to
  for await (const piece of compressed as AsyncIterable<Uint8Array>) size += piece.byteLength;
  return size;
}

/** How a packed layer divides among those who brought its entries. */
export async function layerUsage(
  layer: { name: string; bytes: number; entries: readonly Entry[] },
  tree: Tree,
): Promise<Usage[]> {
  const groups = Map.groupBy(layer.entries, (entry) => {
    const owner = tree.get(entry.path)?.owner ?? FOLDER_OWNER;
    return `${owner.element}\0${owner.source}`;
  });
  const rows = [...groups];
  const weights = rows.length === 1 ? [1] : await Promise.all(rows.map(([, entries]) => quickSize(entries)));
  const shares = apportion(layer.bytes, weights);
  return rows.map(([key, entries], index) => {
    const [element = '', source = ''] = key.split('\0');
    const unpackedBytes = entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.size : 0), 0);
    return { layer: layer.name, element, source, files: entries.length, unpackedBytes, bytes: shares[index] ?? 0 };
  });
}
