import { readFile, stat } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openBlockDevice } from '../../../agent/os/block-device.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';

const MIB = 1024 ** 2;
let disk: DiskFile;
beforeEach(async () => {
  disk = await makeDiskFile(16 * MIB);
});
afterEach(() => disk.close());

describe('a device that is a file', () => {
  test('is read and written anywhere, and never grows', async () => {
    await disk.device.write(Buffer.from('end'), 16 * MIB - 3);
    const bytes = Buffer.alloc(3);
    await disk.device.read(bytes, 16 * MIB - 3);
    expect(bytes.toString()).toBe('end');
    await expect(disk.device.write(Buffer.from('over'), 16 * MIB - 3)).rejects.toThrow(/it ends at byte 16777216/);
    await expect(disk.device.read(Buffer.alloc(2), 16 * MIB - 1)).rejects.toThrow(/it ends at byte/);
    await expect(disk.device.zero(16 * MIB - 512, 1024)).rejects.toThrow(/it ends at byte/);
    expect((await stat(disk.path)).size).toBe(16 * MIB);
  });

  test.each([
    ['short', MIB + 5, 1000],
    ['long', 1024, 9 * MIB],
  ])('a %s range is zero afterwards, and nothing around it', async (_, position, length) => {
    await disk.device.zero(position, length);
    const content = await disk.content();
    expect(content.subarray(position, position + length).equals(Buffer.alloc(length))).toBe(true);
    expect(content.subarray(0, position).equals(disk.before.subarray(0, position))).toBe(true);
    expect(content.subarray(position + length).equals(disk.before.subarray(position + length))).toBe(true);
  });

  test('a long range becomes a hole of the file', async () => {
    await disk.device.zero(0, 16 * MIB);
    expect((await stat(disk.path)).blocks * 512).toBeLessThan(MIB);
  });

  test('zeros are written where no program can make them', async () => {
    const calls: string[] = [];
    const device = await openBlockDevice(disk.path, 'write', {
      files: memoryFiles(),
      run: async (file) => {
        calls.push(file);
        throw new Error('EOPNOTSUPP');
      },
    });
    await device.zero(MIB, 8 * MIB);
    await device.close();
    expect(calls).toEqual(['fallocate']);
    expect((await readFile(disk.path)).subarray(MIB, 9 * MIB).equals(Buffer.alloc(8 * MIB))).toBe(true);
  });

  test('what is missing or no disk is named', async () => {
    await expect(openBlockDevice('/nowhere/disk', 'read')).rejects.toThrow('cannot open /nowhere/disk');
    await expect(openBlockDevice('/dev/null', 'read')).rejects.toThrow('neither a block device nor a file');
  });
});
