import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { writeAtomically } from '../../system/files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a finished file has its content and no neighbour', async () => {
  await writeAtomically(join(folder, 'a'), (temporary) => writeFile(temporary, 'whole'));
  expect(await readFile(join(folder, 'a'), 'utf8')).toBe('whole');
  expect(await readdir(folder)).toEqual(['a']);
});

test('a writer that fails leaves the old file as it was and nothing else', async () => {
  await writeFile(join(folder, 'a'), 'old');
  const failing = writeAtomically(join(folder, 'a'), async (temporary) => {
    await writeFile(temporary, 'half');
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  expect(await readFile(join(folder, 'a'), 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['a']);
});
