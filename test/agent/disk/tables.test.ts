import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { addMbrPartition } from '../../../agent/disk/mbr.ts';
import { findRoomAtEnd } from '../../../agent/disk/room.ts';
import { type DiskTable, diskSignature, moveBackupGpt, readEntries, readTable } from '../../../agent/disk/tables.ts';
import { openBlockDevice } from '../../../agent/os/block-device.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeOs } from '../../fakes/agent-os.ts';
import { type DiskFile, makeDiskFile, sparseFile } from '../../fakes/disk-file.ts';

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
    expect(await readTable(disk.device)).toMatchObject({
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

const WANTED = 64 * MIB;
const tryRoom = (...args: Parameters<typeof findRoomAtEnd>) => {
  try {
    return findRoomAtEnd(...args);
  } catch {
    return undefined;
  }
};

describe('room at the end of a disk', () => {
  const entry = fc.record({
    number: fc.constant(1),
    startSector: fc.integer({ min: 2048, max: 2 ** 33 }),
    sectors: fc.integer({ min: 1, max: 2 ** 32 }),
    partuuid: fc.constant(''),
  });

  test('never overlaps a partition, begins on a MiB, and lies inside the disk and what its table can name', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 3 }),
        fc.integer({ min: 2 ** 17, max: 2 ** 34 }),
        fc.constantFrom(512, 4096),
        fc.constantFrom('gpt', 'mbr'),
        fc.integer({ min: 1, max: WANTED }),
        (entries, diskSectors, sectorBytes, kind, leastBytes) => {
          const disk = { path: '/dev/sda', sizeBytes: diskSectors * sectorBytes, sectorBytes };
          const entriesAt = { sector: 2, count: 128, entryBytes: 128 };
          const lastUsable = diskSectors - 2 - 16_384 / sectorBytes;
          const table: DiskTable =
            kind === 'mbr'
              ? { kind, sector: mbr([]) }
              : {
                  kind: 'gpt',
                  backupSector: diskSectors - 1,
                  lastUsableSector: lastUsable,
                  lastSector: diskSectors - 1,
                  entriesAt,
                };
          const end = kind === 'mbr' ? Math.min(diskSectors, 2 ** 32 - 1) : lastUsable + 1;
          const free = end - Math.max(MIB / sectorBytes, ...entries.map((one) => one.startSector + one.sectors));
          const range = tryRoom(disk, table, entries, { wantedBytes: WANTED, leastBytes });
          // Nothing is refused where there is room and a MiB to align in.
          const isRefusedRightly = range === undefined && free * sectorBytes < leastBytes + MIB;
          const isGood =
            range !== undefined &&
            (range.start * sectorBytes) % MIB === 0 &&
            range.start + range.count <= end &&
            range.count * sectorBytes >= leastBytes &&
            range.count * sectorBytes <= WANTED &&
            entries.every(({ startSector, sectors }) => range.start >= startSector + sectors);
          expect(isRefusedRightly || isGood).toBe(true);
        },
      ),
    );
  });

  test('is told in MiB when there is too little of it', () => {
    const disk = { path: '/dev/sda', sizeBytes: 200 * MIB, sectorBytes: 512 };
    const entries = [{ number: 1, startSector: 2048, sectors: 196 * 2048, partuuid: '' }];
    const find = () =>
      findRoomAtEnd(disk, { kind: 'mbr', sector: mbr([]) }, entries, { wantedBytes: WANTED, leastBytes: 10 * MIB });
    expect(find).toThrow('10 MiB are needed at the end of /dev/sda, and the image leaves 3 MiB');
  });
});

describe('a partition added to an MBR', () => {
  test('leaves everything else as it is', () => {
    const sector = mbr([{ start: 2048, count: 4096 }]);
    const before = Buffer.from(sector);
    addMbrPartition(sector, 0x0c, { start: 8192, count: 2048 });
    expect(sector.subarray(0, 462).equals(before.subarray(0, 462))).toBe(true);
    expect(sector.subarray(478).equals(before.subarray(478))).toBe(true);
  });

  test('is refused as a fifth one', () => {
    const four = mbr([1, 2, 3, 4].map((index) => ({ start: index * 2048, count: 2048 })));
    expect(() => addMbrPartition(four, 0x0c, { start: 20_480, count: 2048 })).toThrow('four partitions');
  });

  test('is read by the partitioning program that everybody has', async () => {
    const disk = await blankDisk(200 * MIB);
    const sector = mbr([{ start: 2048, count: 4096 }]);
    const room = { wantedBytes: WANTED, leastBytes: WANTED };
    const table = { kind: 'mbr', sector } as const;
    const range = findRoomAtEnd(disk.device, table, await readEntries(disk.device, table), room);
    addMbrPartition(sector, 0x0c, range);
    await disk.device.write(sector, 0);
    const { stdout } = await systemRun('sgdisk', ['-p', disk.path]);
    expect(stdout).toMatch(new RegExp(`2\\s+${range.start}\\s+${range.start + range.count - 1}\\s+64.0 MiB`));
  });
});

describe('a table', () => {
  test.each<[string, number]>([
    ['a small disk', 64 * MIB],
    ['a disk of more than 2 TiB', 3 * 1024 ** 4 + 7 * 512],
  ])('of %s is read as sfdisk reads it, and its backup goes to the end', async (_, sizeBytes) => {
    const file = await sparseFile(sizeBytes);
    try {
      const words = ['-n', '1:2048:+8M', '-t', '1:ef00', '-n', '5:0:+1M', '-n', '2:0:0'];
      await systemRun('sgdisk', [...words, file.path]);
      const { stdout } = await systemRun('sfdisk', ['--json', file.path]);
      const { partitiontable } = JSON.parse(stdout) as {
        partitiontable: { lastlba: number; partitions: { node: string; start: number; size: number; uuid: string }[] };
      };
      const table = await readTable(file.device);
      expect(table).toMatchObject({
        kind: 'gpt',
        lastUsableSector: partitiontable.lastlba,
        lastSector: sizeBytes / 512 - 1,
      });
      expect(await readEntries(file.device, table)).toEqual(
        partitiontable.partitions.map(({ node, start, size, uuid }) => ({
          number: Number(node.slice(file.path.length).replace('p', '')),
          startSector: start,
          sectors: size,
          partuuid: uuid.toLowerCase(),
        })),
      );
      await file.grow(sizeBytes + 100 * MIB);
      const grown = await openBlockDevice(file.path, 'write');
      const os = fakeOs({ run: systemRun, openDevice: async () => ({ ...grown, close: async () => undefined }) });
      expect(await moveBackupGpt(os, file.path)).toBe(true);
      expect((await systemRun('sgdisk', ['-v', file.path])).stdout).toContain('No problems found');
      await grown.close();
    } finally {
      await file.close();
    }
  });

  // test/fixtures/gpt-4096.bin: the first 6 sectors of a disk with sectors of 4096 bytes, by sgdisk 1.0.9 on a loop device of 100 MiB
  // (losetup --sector-size 4096): -n 1:0:+8M -t 1:ef00 -n 2:0:0
  test('of a disk with sectors of 4096 bytes', async () => {
    const disk = await blankDisk(100 * MIB);
    await disk.device.write(await readFile(join(import.meta.dirname, '../../fixtures/gpt-4096.bin')), 0);
    const device = { ...disk.device, sectorBytes: 4096 };
    const table = await readTable(device);
    expect(table).toMatchObject({ kind: 'gpt', backupSector: 25_599, lastSector: 25_599, lastUsableSector: 25_594 });
    expect(await readEntries(device, table)).toMatchObject([
      { number: 1, startSector: 256, sectors: 2048 },
      { number: 2, startSector: 2304, sectors: 23_291 },
    ]);
    expect(await readTable(disk.device)).toMatchObject({ kind: 'mbr' });
  });

  test('is an MBR where it has partitions of its own, whatever stands behind it', async () => {
    const disk = await blankDisk(16 * MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+8M', disk.path]);
    await disk.device.write(mbr([{ start: 2048, count: 2048 }]), 0);
    expect(await readTable(disk.device)).toMatchObject({ kind: 'mbr' });
  });

  test('with impossible numbers is refused; nothing else is read wrong', async () => {
    const disk = await blankDisk(4 * MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+1M', disk.path]);
    const good = (await disk.content()).subarray(0, 34 * 512);
    const place = fc.record({ at: fc.integer({ min: 512, max: 34 * 512 - 1 }), byte: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 20 }), async (changes) => {
        const bytes = Buffer.from(good);
        for (const { at, byte } of changes) bytes.writeUInt8(byte, at);
        await disk.device.write(bytes, 0);
        const table = await readTable(disk.device);
        const read = await readEntries(disk.device, table).then(
          (entries) => entries.length <= 1024,
          (error: unknown) => String(error).includes('impossible numbers'),
        );
        expect(read).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
