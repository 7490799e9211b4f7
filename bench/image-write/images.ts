import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Run } from '../../system/run.ts';
import { diskContent } from './data.ts';

export const IMAGE_NAMES = ['raw', 'qcow2', 'qcow2-compressed', 'raw.zst'] as const;
export type ImageName = (typeof IMAGE_NAMES)[number];

export type BenchImage = { name: ImageName; file: string; fileBytes: number; sha256: string };
export type BenchImages = {
  /** Served by HTTP. */
  folder: string;
  /** The disk, as a sparse file: what every writer has to come to. */
  raw: string;
  bmap: string;
  virtualBytes: number;
  /** Bytes of the disk that the sparse file has blocks for. */
  allocatedBytes: number;
  images: BenchImage[];
};

/** Raised when the content changes. */
const FORMAT = 1;
const SEED = 'ingot image-write';
const BLOCK_UNIT = 512;

const FILES: Record<ImageName, string> = {
  raw: 'disk.raw',
  qcow2: 'disk.qcow2',
  'qcow2-compressed': 'disk-compressed.qcow2',
  'raw.zst': 'disk.raw.zst',
};

async function makeRaw(path: string, sizeBytes: number, run: Run, signal: AbortSignal): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(sizeBytes);
    for (const { position, bytes } of diskContent(SEED, sizeBytes)) {
      signal.throwIfAborted();
      await file.write(bytes, 0, bytes.length, position);
    }
  } finally {
    await file.close();
  }
  await run('sgdisk', ['--clear', '--disk-guid=11111111-2222-4333-8444-555555555555', '--new=1:2048:0', path], {
    signal,
  });
}

async function sha256Of(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 22, signal }))
    hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

type Making = {
  sizeBytes: number;
  run: Run;
  /** The words that make a map of a sparse file: `raw`, then where to. Undefined where there is no bmaptool. */
  bmaptool: readonly string[] | undefined;
  signal: AbortSignal;
  say: (what: string) => void;
};

async function make(folder: string, { sizeBytes, run, bmaptool, signal, say }: Making): Promise<void> {
  const raw = join(folder, FILES.raw);
  say('disk of files');
  await makeRaw(raw, sizeBytes, run, signal);
  const convert = (name: ImageName, ...more: string[]) =>
    run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...more, raw, join(folder, FILES[name])], { signal });
  say('qcow2');
  await convert('qcow2');
  say('qcow2, compressed');
  await convert('qcow2-compressed', '-c');
  say('raw.zst');
  await run('zstd', ['-q', '-3', raw, '-o', join(folder, FILES['raw.zst'])], { signal });
  if (bmaptool) {
    const [file = '', ...args] = bmaptool;
    await run(file, [...args, 'create', '-o', join(folder, 'disk.bmap'), raw], { signal });
  }
  say('checksums');
  const sums: Record<string, string> = {};
  for (const name of IMAGE_NAMES) sums[name] = await sha256Of(join(folder, FILES[name]), signal);
  await writeFile(join(folder, 'sums.json'), JSON.stringify(sums));
}

/** The images of a size, made or found. A set that was not finished is never found: it gets its name last. */
export async function prepareImages(root: string, making: Making): Promise<BenchImages> {
  const digest = createHash('sha256')
    .update(JSON.stringify([FORMAT, SEED, making.sizeBytes, making.bmaptool !== undefined]))
    .digest('hex');
  const folder = join(root, digest.slice(0, 16));
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    const temporary = `${folder}.tmp`;
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true });
    try {
      await make(temporary, making);
      await rename(temporary, folder);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }
  const sums = JSON.parse(await readFile(join(folder, 'sums.json'), 'utf8')) as Record<ImageName, string>;
  const raw = join(folder, FILES.raw);
  const images: BenchImage[] = [];
  for (const name of IMAGE_NAMES)
    images.push({
      name,
      file: FILES[name],
      fileBytes: (await stat(join(folder, FILES[name]))).size,
      sha256: sums[name],
    });
  return {
    folder,
    raw,
    bmap: join(folder, 'disk.bmap'),
    virtualBytes: making.sizeBytes,
    allocatedBytes: (await stat(raw)).blocks * BLOCK_UNIT,
    images,
  };
}

/** A device that nobody has written to: a sparse file somewhat larger than the image. */
export async function freshDevice(path: string, sizeBytes: number): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, '');
  await truncate(path, sizeBytes);
}

/** Bytes that the device's file has blocks for. */
export async function writtenBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * BLOCK_UNIT;
}
