import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { addMbrPartition, diskSignature, moveBackupGpt, readTable } from '../../../agent/disk/tables.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeOs } from '../../fakes/agent-os.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';

const MIB = 1024 ** 2;
const disks: DiskFile[] = [];
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
});

async function blankDisk(sizeBytes: number): Promise<DiskFile> {
  const disk = await makeDiskFile(sizeBytes);
  disks.push(disk);
  await disk.device.zero(0, sizeBytes);
  return disk;
}

function osOf(disk: DiskFile) {
  return fakeOs({ run: systemRun, openDevice: async () => ({ ...disk.device, close: async () => undefined }) });
}

function mbr(entries: readonly { start: number; count: number }[]): Buffer {
  const sector = Buffer.alloc(512);
  sector.writeUInt16BE(0x55_aa, 510);
  entries.forEach(({ start, count }, index) => {
    sector.writeUInt8(0x83, 446 + index * 16 + 4);
    sector.writeUInt32LE(start, 446 + index * 16 + 8);
    sector.writeUInt32LE(count, 446 + index * 16 + 12);
  });
  return sector;
}

describe('the backup GPT', () => {
  test('of an image for a smaller disk is moved to the end, and only then', async () => {
    const image = await blankDisk(16 * MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+8M', image.path]);
    const disk = await blankDisk(64 * MIB);
    await disk.device.write(await image.content(), 0);
    expect(await readTable(disk.device)).toEqual({
      kind: 'gpt',
      backupSector: 16 * 2048 - 1,
      lastSector: 64 * 2048 - 1,
    });
    expect(await moveBackupGpt(osOf(disk), disk.path)).toBe(true);
    expect((await disk.content()).subarray(-512, -504).toString()).toBe('EFI PART');
    expect((await systemRun('sgdisk', ['-v', disk.path])).stdout).toContain('No problems found');
    expect(await moveBackupGpt(osOf(disk), disk.path)).toBe(false);
  });

  test('is no matter where there is no GPT', async () => {
    const disk = await blankDisk(8 * MIB);
    expect(await moveBackupGpt(osOf(disk), disk.path)).toBe(false);
    expect(await readTable(disk.device)).toEqual({ kind: 'none' });
  });
});

describe('the disk signature', () => {
  test.each([
    [0, '0x00000000'],
    [0x5f_3e_0c_11, '0x5f3e0c11'],
    [0xff, '0x000000ff'],
  ])('%i is %s', async (signature, shown) => {
    const disk = await blankDisk(MIB);
    const sector = mbr([]);
    sector.writeUInt32LE(signature, 440);
    await disk.device.write(sector, 0);
    expect(await diskSignature(osOf(disk), disk.path)).toBe(shown);
  });
});

describe('a partition added to an MBR', () => {
  const wanted = (64 * MIB) / 512;
  const tryToAdd = (sector: Buffer, diskSectors: number) => {
    try {
      return addMbrPartition(sector, wanted, diskSectors);
    } catch {
      return undefined;
    }
  };

  test('never overlaps another one, begins on a MiB, and lies within the disk and what an MBR can name', () => {
    const entry = fc.record({
      start: fc.integer({ min: 2048, max: 2 ** 31 }),
      count: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    });
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 3 }),
        fc.integer({ min: 2 ** 17, max: 2 ** 34 }),
        (entries, diskSectors) => {
          const sector = mbr(entries);
          const before = Buffer.from(sector);
          const added = tryToAdd(sector, diskSectors);
          // A table that nothing could be added to stays as it was.
          const isKept = added === undefined && sector.equals(before);
          const isAdded =
            added !== undefined &&
            added.start % 2048 === 0 &&
            added.start + added.count <= Math.min(diskSectors, 2 ** 32 - 1) &&
            entries.every(({ start, count }) => added.start >= start + count) &&
            sector.readUInt32LE(446 + entries.length * 16 + 8) === added.start &&
            sector.subarray(0, 446).equals(before.subarray(0, 446));
          expect(isKept || isAdded).toBe(true);
        },
      ),
    );
  });

  test('is refused as a fifth one', () => {
    const four = mbr([1, 2, 3, 4].map((index) => ({ start: index * 2048, count: 2048 })));
    expect(() => addMbrPartition(four, wanted, 2 ** 24)).toThrow('four partitions');
  });

  test('is read by the partitioning program that everybody has', async () => {
    const disk = await blankDisk(200 * MIB);
    const sector = mbr([{ start: 2048, count: 4096 }]);
    const { start } = addMbrPartition(sector, wanted, 200 * 2048);
    await disk.device.write(sector, 0);
    const { stdout } = await systemRun('sgdisk', ['-p', disk.path]);
    expect(stdout).toMatch(new RegExp(`2\\s+${start}\\s+${start + wanted - 1}\\s+64.0 MiB`));
  });
});
