import { stat } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { openBlockDevice } from '../../../agent/os/block-device.ts';
import type { BlockDevice } from '../../../agent/os/door.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import { alignedBuffer } from '../../../system/aligned.ts';
import { type Run, systemRun } from '../../../system/run.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { makeLoopDevice } from '../../fakes/loop-device.ts';

const MIB = 1024 ** 2;
const isZero = (bytes: Buffer) => bytes.equals(Buffer.alloc(bytes.length));

describe('a trial of how zeros are made', () => {
  let disk: DiskFile;
  beforeEach(async () => {
    disk = await makeDiskFile(16 * MIB);
  });
  afterEach(() => disk.close());

  async function withRun<T>(run: Run, job: (device: BlockDevice) => Promise<T>): Promise<T> {
    const device = await openBlockDevice(disk.path, 'write', { files: memoryFiles(), run });
    try {
      return await job(device);
    } finally {
      await device.close();
    }
  }

  test('finds a file’s holes, and zeroes the whole range by them', async () => {
    const ability = await disk.device.tryZeroing(2 * MIB, 8 * MIB);
    expect(ability).toMatchObject({ method: 'punch-hole', isOffloaded: true, zeroedBytes: 8 * MIB });
    expect(ability.bytesPerSecond).toBeGreaterThan(0);
    const content = await disk.content();
    expect(isZero(content.subarray(2 * MIB, 10 * MIB))).toBe(true);
    expect(content.subarray(0, 2 * MIB).equals(disk.before.subarray(0, 2 * MIB))).toBe(true);
    expect(content.subarray(10 * MIB).equals(disk.before.subarray(10 * MIB))).toBe(true);
    expect((await stat(disk.path)).blocks * 512).toBeLessThan(9 * MIB);
  });

  test('finds out a device that says it did, and did not', async () => {
    const calls: string[] = [];
    const lie: Run = async (file) => {
      calls.push(file);
      return { stdout: '', stderr: '', exitCode: 0 };
    };
    await withRun(lie, async (device) => {
      expect(await device.tryZeroing(MIB, 8 * MIB)).toMatchObject({ method: 'write', isOffloaded: false });
      await device.zero(MIB, 12 * MIB);
    });
    expect(calls).toEqual(['fallocate']);
    expect(isZero((await disk.content()).subarray(MIB, 13 * MIB))).toBe(true);
  });

  test('finds out a device that zeroes only part of what it was asked for', async () => {
    const half: Run = (file, args) =>
      systemRun(
        file,
        args.map((word, index) => (args[index - 1] === '--length' ? String(Number(word) / 2) : word)),
      );
    await withRun(half, async (device) => {
      expect((await device.tryZeroing(MIB, 8 * MIB)).isOffloaded).toBe(false);
    });
  });

  test('a device that stops being able to after the trial is zeroed by writing', async () => {
    let calls = 0;
    const tired: Run = (file, args) => (++calls > 2 ? Promise.reject(new Error('EOPNOTSUPP')) : systemRun(file, args));
    await withRun(tired, async (device) => {
      expect((await device.tryZeroing(MIB, 5 * MIB)).method).toBe('punch-hole');
      await device.zero(6 * MIB, 6 * MIB);
    });
    expect(calls).toBe(3);
    expect(isZero((await disk.content()).subarray(MIB, 12 * MIB))).toBe(true);
  });
});

describe.each([512, 4096] as const)('a block device with sectors of %i bytes', (sectorBytes) => {
  test('is written and zeroed, and read back past the page cache', async ({ skip }) => {
    const loop = await makeLoopDevice(32 * MIB, sectorBytes);
    if (!loop) {
      skip('no loop devices here');
      return;
    }
    try {
      const device = await openBlockDevice(loop.path, 'write');
      expect(device).toMatchObject({ sizeBytes: 32 * MIB, sectorBytes });
      const ability = await device.tryZeroing(4 * MIB, 16 * MIB);
      expect(ability).toMatchObject({ method: 'punch-hole', isOffloaded: true });
      // Long and aligned, long and not, short, and at the very end.
      const pieces = [
        { position: 4 * MIB, bytes: alignedBuffer(2 * MIB).fill('aligned ') },
        { position: 7 * MIB + sectorBytes, bytes: Buffer.alloc(MIB + 5 * sectorBytes, 'unaligned ') },
        { position: 10 * MIB, bytes: Buffer.alloc(700_000 - (700_000 % sectorBytes), 'not a multiple ') },
        { position: 32 * MIB - sectorBytes, bytes: Buffer.alloc(sectorBytes, 'end') },
      ];
      for (const { position, bytes } of pieces) await device.write(bytes, position);
      await device.zero(12 * MIB, 6 * MIB);
      await device.flush();
      for (const { position, bytes } of pieces) {
        const back = Buffer.alloc(bytes.length);
        await device.readBack(back, position);
        expect(back.equals(bytes)).toBe(true);
        await device.readBack(back.subarray(0, 100), position + 7);
        expect(back.subarray(0, 100).equals(bytes.subarray(7, 107))).toBe(true);
      }
      await device.close();
      const content = await loop.file.content();
      const expected = Buffer.from(loop.file.before).fill(0, 4 * MIB, 20 * MIB);
      for (const { position, bytes } of pieces) expected.set(bytes, position);
      expect(content.equals(expected)).toBe(true);
    } finally {
      await loop.close();
    }
  });

  test('is zeroed by discards that are read back, where it has no WRITE ZEROES', async ({ skip }) => {
    const loop = await makeLoopDevice(32 * MIB, sectorBytes);
    if (!loop) {
      skip('no loop devices here');
      return;
    }
    const calls: string[] = [];
    try {
      const device = await openBlockDevice(loop.path, 'write', {
        files: { read: async (path) => (path.endsWith('write_zeroes_max_bytes') ? '0\n' : systemFiles.read(path)) },
        // A disk that takes the advice for all but the last MiB.
        run: async (file, args) => {
          calls.push(file);
          const shorter = args.map((word, index) =>
            args[index - 1] === '--length' && Number(word) > MIB ? String(Number(word) - MIB) : word,
          );
          return systemRun(file, shorter);
        },
      });
      expect(await device.tryZeroing(4 * MIB, 16 * MIB)).toMatchObject({ method: 'discard', isOffloaded: true });
      await device.close();
      expect(calls).toEqual(['blkdiscard', 'blkdiscard']);
      expect(isZero((await loop.file.content()).subarray(4 * MIB, 20 * MIB))).toBe(true);
    } finally {
      await loop.close();
    }
  });

  test('is zeroed by the kernel, where it has no means of its own', async ({ skip }) => {
    const loop = await makeLoopDevice(16 * MIB, sectorBytes);
    if (!loop) {
      skip('no loop devices here');
      return;
    }
    try {
      const device = await openBlockDevice(loop.path, 'write', {
        files: { read: async (path) => (path.endsWith('max_bytes') ? '0\n' : systemFiles.read(path)) },
        run: systemRun,
      });
      expect(await device.tryZeroing(MIB, 8 * MIB)).toMatchObject({ method: 'zeroout', isOffloaded: false });
      await device.zero(MIB, 8 * MIB);
      await device.flush();
      await device.close();
      expect(isZero((await loop.file.content()).subarray(MIB, 9 * MIB))).toBe(true);
    } finally {
      await loop.close();
    }
  });
});
