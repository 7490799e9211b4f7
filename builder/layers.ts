import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';

import type { Entry } from './archive/entry.ts';
import { cpioPieces } from './archive/cpio.ts';
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

/** zstd's own default window at this level, 8 MiB: what the kernel needs on top while it unpacks. */
export const COMPRESSION_LEVEL = 19;

function layerKey(layer: Layer): string {
  const rows = layer.entries
    .map((entry) => {
      if (entry.type !== 'file') return entry;
      const { content, ...rest } = entry;
      return content === undefined ? entry : rest;
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([FORMAT, COMPRESSION_LEVEL, rows]))
    .digest('hex');
}

async function pack(
  layer: Layer,
  folder: string,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const hash = createHash('sha256');
  let unpackedBytes = 0;
  let bytes = 0;
  const compress = createZstdCompress({
    params: {
      [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  await pipeline(
    Readable.from(cpioPieces(layer.entries, readEntry), { objectMode: true }),
    async function* counted(pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        unpackedBytes += piece.byteLength;
        onBytes(piece.byteLength);
        yield piece;
      }
    },
    compress,
    async function* hashed(pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        hash.update(piece);
        bytes += piece.byteLength;
        yield piece;
      }
    },
    createWriteStream(join(folder, 'member.zst')),
    { signal },
  ).catch((error: unknown) => {
    throw explainWriteError(error, folder);
  });
  await writeFile(join(folder, 'layer.json'), JSON.stringify({ bytes, unpackedBytes, sha256: hash.digest('hex') }));
}

/** Whether an earlier build has packed this layer. */
export async function packedBefore(host: BuilderHost, layer: Layer): Promise<boolean> {
  return stat(host.cache.path('layers', layerKey(layer))).then(
    () => true,
    () => false,
  );
}

/** Packs a layer, or finds it in the cache. */
export async function packLayer(
  host: BuilderHost,
  layer: Layer,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<PackedLayer> {
  let cached = true;
  const folder = await host.cache.directory('layers', layerKey(layer), async (temporary) => {
    cached = false;
    await pack(layer, temporary, signal, onBytes);
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
