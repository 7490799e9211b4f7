import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { BlockDevice } from '../../../agent/os/door.ts';
import { openBlockDevice } from '../../../agent/os/block-device.ts';
import { type WriteImageJob, writeImage } from '../../../agent/image/write.ts';
import { systemFilter } from '../../../system/filter.ts';
import { systemRun } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { countingDisk } from '../../fakes/lying-disk.ts';
import { makeLoopDevice } from '../../fakes/loop-device.ts';
import { memorySource } from '../../fakes/memory-source.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
const IMAGE_BYTES = 96 * MIB + 512;

/** Fifty runs of data of 256 KiB, the rest zeros: gaps that are long, short, and less than a block. */
const RUN_BYTES = 256 * 1024;
const image = Buffer.alloc(IMAGE_BYTES);
makeGuest(4096, 1).copy(image);
const RUNS = [
  ...Array.from({ length: 40 }, (_, index) => 2 * MIB + index * 320 * 1024),
  ...[30, 31, 50, 51, 52, 60, 61, 70, 80, 90].map((at) => at * MIB),
];
for (const at of RUNS) image.set(randomBytes(RUN_BYTES), at);
const allocated = RUNS.length * RUN_BYTES;

function job(content: Buffer, device: BlockDevice): WriteImageJob {
  return {
    source: memorySource(content),
    diskFormat: undefined,
    checksum: { algorithm: 'sha256', hex: sha256(content) },
    device,
    filter: systemFilter,
    wipe: async () => undefined,
    progress: () => undefined,
    signal: new AbortController().signal,
    verify: 'full',
  };
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-sparse-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function toQcow2(raw: Buffer, ...options: string[]): Promise<Buffer> {
  const [from, to] = [join(folder, 'image.raw'), join(folder, 'image.qcow2')];
  await writeFile(from, raw);
  await systemRun('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...options, from, to]);
  return readFile(to);
}

/** What withholding and clearing the ends writes on top: three times the two MiB at most. */
const ENDS_BYTES = 6 * MIB;

describe('a sparse image on a used disk that can make zeros', () => {
  const forms: { form: string; make: () => Promise<Buffer> }[] = [
    { form: 'raw', make: async () => image },
    { form: 'qcow2', make: () => toQcow2(image) },
    { form: 'compressed qcow2', make: () => toQcow2(image, '-c') },
  ];
  test.each(forms)(
    '$form: zero runs are not left dirty, and hardly more is written than the image has',
    async ({ make }) => {
      const content = await make();
      const disk: DiskFile = await makeDiskFile(100 * MIB);
      try {
        const programs: string[] = [];
        const opened = await openBlockDevice(disk.path, 'write', {
          files: { read: async () => undefined },
          run: (file, args) => {
            programs.push(file);
            return systemRun(file, args);
          },
        });
        const device = countingDisk(opened);
        const written = await writeImage(job(content, device));
        await opened.close();
        expect(written).toMatchObject({ zeros: 'punch-hole', verified: { level: 'full' } });
        expect((await disk.content()).subarray(0, IMAGE_BYTES).equals(image)).toBe(true);
        expect(device.written()).toBeLessThanOrEqual(allocated * 1.02 + ENDS_BYTES);
        // What the disk's file has blocks for now: runs, ends, and what lies behind the image.
        const behind = 100 * MIB - IMAGE_BYTES;
        expect((await stat(disk.path)).blocks * 512).toBeLessThanOrEqual(allocated * 1.02 + 2 * MIB + behind);
        // The trial, and the image in one go.
        expect(programs).toEqual(['fallocate', 'fallocate']);
      } finally {
        await disk.close();
      }
    },
  );
});

test('a sparse image on a used disk that cannot make zeros has them written', async () => {
  const disk = await makeDiskFile(100 * MIB);
  try {
    const device = await openBlockDevice(disk.path, 'write', {
      files: { read: async () => undefined },
      run: () => Promise.reject(new Error('EOPNOTSUPP')),
    });
    expect(await writeImage(job(await toQcow2(image), device))).toMatchObject({ zeros: 'write' });
    await device.close();
    expect((await disk.content()).subarray(0, IMAGE_BYTES).equals(image)).toBe(true);
  } finally {
    await disk.close();
  }
});

test.for([512, 4096] as const)(
  'a block device with sectors of %i bytes gets a sparse image',
  async (sectorBytes, { skip }) => {
    const loop = await makeLoopDevice(100 * MIB, sectorBytes);
    if (!loop) {
      skip('no loop devices here');
      return;
    }
    try {
      const device = await openBlockDevice(loop.path, 'write');
      expect(device.sectorBytes).toBe(sectorBytes);
      expect(await writeImage(job(image, device))).toMatchObject({ zeros: 'punch-hole' });
      await device.close();
      expect((await loop.file.content()).subarray(0, IMAGE_BYTES).equals(image)).toBe(true);
    } finally {
      await loop.close();
    }
  },
);

test('a disk of more than 2 TiB is written to its end, and zeros between cost nothing', async () => {
  const [from, path] = [join(folder, 'large.qcow2'), join(folder, 'large')];
  const sizeBytes = 2.5 * TIB;
  const boot = join(folder, 'boot');
  await writeFile(boot, image.subarray(0, 4096));
  await systemRun('qemu-img', ['create', '-f', 'qcow2', '-o', 'cluster_size=2M', from, String(sizeBytes)]);
  await systemRun('qemu-io', [
    '-c',
    `write -s ${boot} 0 4096`,
    '-c',
    `write -P 0xa1 ${2 * TIB + 5 * MIB} 1M`,
    '-c',
    `write -P 0xa2 ${sizeBytes - 3 * MIB} 1M`,
    from,
  ]);
  await writeFile(path, '');
  await truncate(path, 3 * TIB);
  const disk = await open(path, 'r+');
  await disk.write(Buffer.alloc(MIB, 'dirt'), 0, MIB, 2 * TIB + 20 * MIB);
  const device = await openBlockDevice(path, 'write');
  const written = await writeImage({ ...job(await readFile(from), device), verify: 'sample' });
  await device.close();
  expect(written.imageBytes).toBe(sizeBytes);
  const at = async (position: number) => {
    const bytes = Buffer.alloc(MIB);
    await disk.read(bytes, 0, MIB, position);
    return bytes;
  };
  expect((await at(2 * TIB + 5 * MIB)).equals(Buffer.alloc(MIB, 0xa1))).toBe(true);
  expect((await at(sizeBytes - 3 * MIB)).equals(Buffer.alloc(MIB, 0xa2))).toBe(true);
  expect((await at(2 * TIB + 20 * MIB)).equals(Buffer.alloc(MIB))).toBe(true);
  expect((await at(0)).subarray(0, 512).equals(image.subarray(0, 512))).toBe(true);
  await disk.close();
  expect((await stat(path)).blocks * 512).toBeLessThan(16 * MIB);
});
