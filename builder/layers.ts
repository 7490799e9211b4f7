import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import type { Entry } from './archive/entry.ts';
import { cpioPieces } from './archive/cpio.ts';
import type { Compression } from './compression.ts';
import { explainWriteError } from './host/failures.ts';
import type { BuilderHost } from './host/door.ts';
import { readEntry } from './tree/bytes.ts';

/** Raised when the same entries would give other bytes than before. */
const FORMAT = 1;

/** One member of the initramfs: an archive of its own, compressed on its own, so that it can be kept when others change. */
export type Layer = { name: string; entries: readonly Entry[] };

export type PackedLayer = {
  name: string;
  /** The compressed member, in the cache. */
  file: string;
  bytes: number;
  unpackedBytes: number;
  sha256: string;
  /** True when an earlier build had made it. */
  cached: boolean;
};

/** How layers are compressed, and the tool tree with the programs for that. */
export type Packing = { compression: Compression; tools: string };

function layerKey(layer: Layer, { compression, tools }: Packing): string {
  const rows = layer.entries
    .map((entry) => {
      if (entry.type !== 'file') return entry;
      const { content, ...rest } = entry;
      return content === undefined ? entry : rest;
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([FORMAT, ...compression.key(tools), rows]))
    .digest('hex');
}

async function pack(
  host: BuilderHost,
  layer: Layer,
  { compression, tools }: Packing,
  folder: string,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const hash = createHash('sha256');
  let unpackedBytes = 0;
  let bytes = 0;
  async function* archive() {
    for await (const piece of cpioPieces(layer.entries, readEntry)) {
      unpackedBytes += piece.byteLength;
      onBytes(piece.byteLength);
      yield piece;
    }
  }
  async function* hashed() {
    for await (const piece of compression.compress(host, tools, archive(), signal)) {
      hash.update(piece);
      bytes += piece.byteLength;
      yield piece;
    }
  }
  await pipeline(hashed, createWriteStream(join(folder, 'member.zst')), { signal }).catch((error: unknown) => {
    throw explainWriteError(error, folder);
  });
  await writeFile(join(folder, 'layer.json'), JSON.stringify({ bytes, unpackedBytes, sha256: hash.digest('hex') }));
}

/** Whether an earlier build has packed this layer. */
export async function packedBefore(host: BuilderHost, layer: Layer, packing: Packing): Promise<boolean> {
  return stat(host.cache.path('layers', layerKey(layer, packing))).then(
    () => true,
    () => false,
  );
}

/** Packs a layer, or finds it in the cache. */
export async function packLayer(
  host: BuilderHost,
  layer: Layer,
  packing: Packing,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<PackedLayer> {
  let cached = true;
  const folder = await host.cache.directory('layers', layerKey(layer, packing), async (temporary) => {
    cached = false;
    await pack(host, layer, packing, temporary, signal, onBytes);
  });
  const facts = JSON.parse(await readFile(join(folder, 'layer.json'), 'utf8')) as Pick<
    PackedLayer,
    'bytes' | 'unpackedBytes' | 'sha256'
  >;
  if (cached) onBytes(facts.unpackedBytes);
  return { name: layer.name, file: join(folder, 'member.zst'), cached, ...facts };
}

/** An archive that stays uncompressed, for the front of the initramfs. */
export async function plainArchive(entries: readonly Entry[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of cpioPieces(entries, readEntry)) pieces.push(piece);
  return Buffer.concat(pieces);
}
