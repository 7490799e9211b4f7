import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openBlockDevice } from '../../agent/os/block-device.ts';
import type { BlockDevice } from '../../agent/os/door.ts';

/** A regular file that stands for a used disk: every byte of it is something. */
export type DiskFile = {
  path: string;
  device: BlockDevice;
  before: Buffer;
  content: () => Promise<Buffer>;
  close: () => Promise<void>;
};

/** Bytes that no image of the tests has, and that differ from place to place. */
function dirt(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 1, 2_654_435_761);
  return Buffer.from(words.buffer, 0, length);
}

export async function makeDiskFile(sizeBytes: number): Promise<DiskFile> {
  const directory = await mkdtemp(join(tmpdir(), 'ingot-disk-'));
  const path = join(directory, 'disk');
  const before = dirt(sizeBytes);
  await writeFile(path, before);
  const device = await openBlockDevice(path, 'write');
  return {
    path,
    device,
    before,
    content: () => readFile(path),
    close: async () => {
      await device.close();
      await rm(directory, { recursive: true });
    },
  };
}

/** A blank disk of any size: a sparse file. */
export async function sparseFile(
  sizeBytes: number,
): Promise<Pick<DiskFile, 'path' | 'device' | 'close'> & { grow: (sizeBytes: number) => Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'ingot-disk-'));
  const path = join(directory, 'disk');
  await writeFile(path, '');
  await truncate(path, sizeBytes);
  const device = await openBlockDevice(path, 'write');
  return {
    path,
    device,
    grow: (size) => truncate(path, size),
    close: async () => {
      await device.close();
      await rm(directory, { recursive: true });
    },
  };
}
