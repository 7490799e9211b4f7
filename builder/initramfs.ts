import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import type { Progress } from '../cli/progress.ts';
import type { Entry } from './archive/entry.ts';
import type { BuilderHost } from './host/door.ts';
import { inParallel } from './host/download.ts';
import { type Layer, packLayer, type PackedLayer, type Packing, plainArchive } from './layers.ts';
import { fileEntry, LAYERS, subtree, type Tree } from './tree/tree.ts';

/** A layer in both forms. */
export type FinishedLayer = PackedLayer & Layer;

const HEADER_BYTES = 120;
const size = (entries: readonly Entry[]) =>
  entries.reduce((sum, entry) => sum + HEADER_BYTES + (entry.type === 'file' ? entry.size : 0), 0);

/** A tree divided into layers, those without entries left out. */
export function layersOf(tree: Tree): Layer[] {
  return LAYERS.map((name) => ({ name, entries: subtree(tree, ({ owner }) => owner.layer === name) })).filter(
    (layer) => layer.entries.length > 0,
  );
}

/** Packs a tree's layers, two at a time, those that an earlier build made excepted. */
export async function packLayers(
  host: BuilderHost,
  tree: Tree,
  packing: Packing,
  progress: Progress,
  signal: AbortSignal,
): Promise<FinishedLayer[]> {
  const layers = layersOf(tree);
  const total = layers.reduce((sum, layer) => sum + size(layer.entries), 0);
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    progress.update({ phase: 'compress', done: Math.min(done, total), total, unit: 'bytes' });
  };
  // The largest first, so that both processors have work to the end.
  const order = layers.toSorted((a, b) => size(b.entries) - size(a.entries));
  const packed = await inParallel(order, 2, signal, async (layer, stop) => ({
    ...layer,
    ...(await packLayer(host, layer, packing, stop, onBytes)),
  }));
  return layers.flatMap((layer) => packed.find((one) => one.name === layer.name) ?? []);
}

export type Front = { bytes: Uint8Array; sha256: string };

/**
 * The uncompressed front of the initramfs. A file that starts with zstd's magic would be unpacked by Ironic's conductor before it
 * is served; the kernel takes both forms one after the other.
 * @param release one line about this ramdisk, for its consoles
 */
export async function initramfsFront(release: string): Promise<Front> {
  const folder = (path: string): Entry => ({ path, mode: 0o755, uid: 0, gid: 0, type: 'directory' });
  const bytes = await plainArchive([
    folder('dev'),
    { path: 'dev/console', mode: 0o600, uid: 0, gid: 0, type: 'character', major: 5, minor: 1 },
    folder('etc'),
    fileEntry('etc/ingot-release', `${release}\n`),
  ]);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** The whole initramfs, in pieces. */
export async function* initramfsPieces(front: Front, layers: readonly PackedLayer[]): AsyncGenerator<Uint8Array> {
  yield front.bytes;
  for (const layer of layers) yield await readFile(layer.file);
}
