import { mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { systemFiles } from '../../../agent/os/files.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ingot-files-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('files', () => {
  test('are written whole, with their mode, and leave no neighbour', async () => {
    const path = join(directory, 'secret');
    await systemFiles.write(path, 'one', 0o600);
    await systemFiles.write(path, Uint8Array.of(116, 119, 111), 0o600);
    expect(await systemFiles.read(path)).toBe('two');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['secret']);
  });

  test('that are missing are undefined, an empty list or false', async () => {
    const path = join(directory, 'nosuch');
    expect(await systemFiles.read(path)).toBeUndefined();
    expect(await systemFiles.readBytes(path)).toBeUndefined();
    expect(await systemFiles.list(path)).toEqual([]);
    expect(await systemFiles.resolve(path)).toBeUndefined();
    expect(await systemFiles.exists(path)).toBe(false);
    await systemFiles.remove(path);
  });

  test('are found behind links, listed, and removed with what is in them', async () => {
    const folder = join(directory, 'a', 'b');
    await systemFiles.makeDirectory(folder, 0o700);
    await systemFiles.write(join(folder, 'f'), 'x');
    await symlink(join(folder, 'f'), join(directory, 'link'));
    expect(await systemFiles.resolve(join(directory, 'link'))).toBe(join(folder, 'f'));
    expect(await systemFiles.list(folder)).toEqual(['f']);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    await systemFiles.remove(join(directory, 'a'));
    expect(await systemFiles.exists(folder)).toBe(false);
  });

  test('of the kernel are written in place', async () => {
    await systemFiles.write('/dev/null', 'x');
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });
});
