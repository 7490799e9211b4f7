import { rm, truncate, writeFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { type LogicalDisk, readRaidConfig } from '../../../agent/raid/config.ts';
import { gptWords, raidMbr } from '../../../agent/raid/create.ts';
import { type Level, LEVELS } from '../../../agent/raid/levels.ts';
import { describePlan, partitionPath, planRaid, type PlanRequest } from '../../../agent/raid/plan.ts';
import { systemRun } from '../../../system/run.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

function logical(index: number, level: Level, sizeGib: number | 'MAX', volumeName?: string): LogicalDisk {
  return { index, level, sizeGib, volumeName, isRootVolume: false, physicalDisks: undefined };
}
const disk = (name: string, gib: number, sectorBytes = 512) => ({ name, sizeBytes: gib * GIB, sectorBytes });
const base = { table: 'gpt' as const, bootMode: 'uefi' as const, takenDevices: new Set<string>() };

describe('a plan', () => {
  test('leaves room for EFI system partitions, puts MAX last, and numbers arrays in that order', () => {
    const disks = [disk('/dev/sda', 100), disk('/dev/nvme0n1', 100, 4096)];
    const names = disks.map(({ name }) => name);
    const plan = planRaid({
      ...base,
      disks,
      wanted: [
        { logicalDisk: logical(0, '0', 'MAX', 'scratch'), disks: names },
        { logicalDisk: logical(1, '1', 20), disks: names },
      ],
    });
    expect(describePlan(plan)).toEqual([
      '/dev/sda1: sectors 1128448 to 43337727 of 512 bytes (20.13 GiB, gpt), for md0',
      '/dev/sda2: sectors 43337728 to 209713151 of 512 bytes (79.33 GiB, gpt), for scratch',
      '/dev/nvme0n1p1: sectors 141056 to 5417215 of 4096 bytes (20.13 GiB, gpt), for md0',
      '/dev/nvme0n1p2: sectors 5417216 to 26214143 of 4096 bytes (79.33 GiB, gpt), for scratch',
      '/dev/md0: RAID 1 "md0" on /dev/sda1 /dev/nvme0n1p1',
      '/dev/md1: RAID 0 "scratch" on /dev/sda2 /dev/nvme0n1p2',
    ]);
  });

  test.each([
    [[logical(0, '1', 'MAX'), logical(1, '1', 'MAX')], /both have the size MAX on \/dev\/sda/],
    [[logical(0, '5', 'MAX')], /RAID 5 needs 3 disks at least, logical disk 1 has 2/],
    [[logical(0, '1', 100)], /needs 100\.13 GiB of \/dev\/sda, which has 99\.46 GiB left of 100\.00 GiB/],
    [[logical(0, '1', 98), logical(1, '1', 2)], /logical disk 2 needs/],
  ])('that does not fit says what is missing (%#)', (wanted, words) => {
    const disks = [disk('/dev/sda', 100), disk('/dev/sdb', 100)];
    const names = disks.map(({ name }) => name);
    const work = () =>
      planRaid({ ...base, disks, wanted: wanted.map((logicalDisk) => ({ logicalDisk, disks: names })) });
    expect(work).toThrow(words);
  });

  test('never has one disk twice in an array, and not more than four partitions in an MBR', () => {
    const disks = [disk('/dev/sda', 100), disk('/dev/sdb', 100)];
    const twice = () =>
      planRaid({ ...base, disks, wanted: [{ logicalDisk: logical(0, '1', 5), disks: ['/dev/sda', '/dev/sda'] }] });
    expect(twice).toThrow(/needs 2 disks at least, logical disk 1 has 1/);
    const wanted = [0, 1, 2, 3, 4].map((index) => ({
      logicalDisk: logical(index, '1', 5),
      disks: ['/dev/sda', '/dev/sdb'],
    }));
    expect(() => planRaid({ ...base, table: 'msdos', bootMode: 'bios', disks, wanted })).toThrow(
      /more than 4 partitions/,
    );
  });

  test('gives arrays devices that are free', () => {
    const disks = [disk('/dev/sda', 10), disk('/dev/sdb', 10)];
    const wanted = [{ logicalDisk: logical(0, '1', 'MAX'), disks: ['/dev/sda', '/dev/sdb'] }];
    const plan = planRaid({ ...base, disks, wanted, takenDevices: new Set(['/dev/md0', '/dev/md1']) });
    expect(plan.arrays[0]).toMatchObject({ device: '/dev/md2', name: 'md2' });
  });
});

/** Any machine and any wish, most of which do not fit. */
const requests: fc.Arbitrary<PlanRequest> = fc
  .record({
    disks: fc.array(
      fc.record({ size: fc.integer({ min: 1, max: 4 * 2 ** 31 }), sectorBytes: fc.constantFrom(512, 4096) }),
      { minLength: 2, maxLength: 6 },
    ),
    form: fc.constantFrom(
      { table: 'gpt' as const, bootMode: 'uefi' as const },
      { table: 'gpt' as const, bootMode: 'bios' as const },
      { table: 'msdos' as const, bootMode: 'bios' as const },
    ),
    wishes: fc.array(
      fc.record({
        level: fc.constantFrom<Level>('0', '1', '5', '6', '10'),
        size: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.constant('MAX' as const)),
        members: fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ disks, form, wishes }) => {
    const plain = disks.map(({ size, sectorBytes }, index) => ({
      name: index % 2 === 0 ? `/dev/sd${'abcdef'[index]}` : `/dev/nvme${index}n1`,
      // Whole sectors of 4096 bytes, up to 32 TiB.
      sizeBytes: size * 4096,
      sectorBytes,
    }));
    return {
      ...form,
      disks: plain,
      takenDevices: new Set<string>(),
      wanted: wishes.map(({ level, size, members }, index) => ({
        logicalDisk: logical(index, level, size),
        disks: [...new Set(members.map((member) => plain[member % plain.length]?.name ?? ''))],
      })),
    };
  });

/** @throws anything but the refusal that says why it does not fit */
function planOrRefusal(request: PlanRequest): ReturnType<typeof planRaid> | AgentError {
  try {
    return planRaid(request);
  } catch (error) {
    if (error instanceof AgentError && error.type === 'SoftwareRAIDError') return error;
    throw error;
  }
}

test('whatever is asked for, partitions are aligned, inside of their disks, apart from one another, and enough', () => {
  let fitting = 0;
  const run = (request: PlanRequest): void => {
    const plan = planOrRefusal(request);
    if (plan instanceof AgentError) return;
    fitting += 1;
    for (const { name, sizeBytes, sectorBytes, table, partitions } of plan.disks) {
      const first = request.bootMode === 'uefi' ? 551 * MIB : table === 'gpt' ? 8 * MIB : MIB;
      // The second GPT takes 33 sectors of 512 bytes or 5 of 4096 bytes.
      const last = table === 'gpt' ? sizeBytes - (sectorBytes === 512 ? 33 : 5) * sectorBytes : sizeBytes;
      let free = first;
      for (const [index, { number, startSector, sectors }] of partitions.entries()) {
        expect(number).toBe(index + 1);
        expect((startSector * sectorBytes) % MIB).toBe(0);
        expect(Number.isSafeInteger(startSector) && Number.isSafeInteger(sectors)).toBe(true);
        expect(sectors).toBeGreaterThan(0);
        expect(startSector * sectorBytes).toBeGreaterThanOrEqual(free);
        free = (startSector + sectors) * sectorBytes;
        expect(free).toBeLessThanOrEqual(last);
        expect(startSector + sectors).toBeLessThan(table === 'msdos' ? 2 ** 32 : Infinity);
      }
      expect(partitions.length).toBeLessThanOrEqual(table === 'gpt' ? 128 : 4);
      expect(request.disks.find((one) => one.name === name)).toMatchObject({ sizeBytes, sectorBytes });
    }
    expect(plan.arrays).toHaveLength(request.wanted.length);
    expect(new Set(plan.arrays.map(({ device }) => device)).size).toBe(plan.arrays.length);
    const all = plan.disks.flatMap(({ sectorBytes, partitions }) =>
      partitions.map((part) => ({
        path: partitionPath(part.disk, part.number),
        disk: part.disk,
        bytes: part.sectors * sectorBytes,
      })),
    );
    expect(plan.arrays.flatMap(({ members }) => members).toSorted()).toEqual(all.map(({ path }) => path).toSorted());
    for (const { level, members, logicalDisk } of plan.arrays) {
      const parts = members.map((member) => all.find(({ path }) => path === member));
      expect(new Set(parts.map((part) => part?.disk)).size).toBe(members.length);
      expect(members.length).toBeGreaterThanOrEqual(LEVELS[level].leastMembers);
      // 129 MiB before the data is the most that mdadm takes; data is in whole chunks of 512 KiB.
      const data = parts.map((part) => Math.floor(((part?.bytes ?? 0) - 129 * MIB) / (MIB / 2)) * (MIB / 2));
      expect(Math.min(...data)).toBeGreaterThan(0);
      const room =
        level === '0' ? data.reduce((a, b) => a + b) : Math.min(...data) * LEVELS[level].data(members.length);
      expect(room).toBeGreaterThanOrEqual(logicalDisk.sizeGib === 'MAX' ? 0 : logicalDisk.sizeGib * GIB);
    }
  };
  fc.assert(fc.property(requests, run), { numRuns: 1500 });
  // Not all of them are refused.
  expect(fitting).toBeGreaterThan(100);
});

describe('what sfdisk finds on a disk that was made by a plan', () => {
  test.each(['gpt', 'msdos'] as const)('is that plan: %s', async (table) => {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-raid-'));
    try {
      const path = join(folder, 'disk');
      await writeFile(path, '');
      await truncate(path, 10 * GIB);
      const names = [path, '/dev/sdb'];
      const { disks } = planRaid({
        ...base,
        table,
        bootMode: 'bios',
        disks: names.map((name) => disk(name, 10)),
        wanted: [2, 3, 'MAX' as const].map((size, index) => ({ logicalDisk: logical(index, '1', size), disks: names })),
      });
      const planned = disks.find(({ name }) => name === path);
      if (planned === undefined) throw new Error('no plan for the disk');
      if (table === 'gpt') await systemRun('sgdisk', gptWords(planned));
      else await writeFile(path, raidMbr(planned, 0x12_34_56_78), { flag: 'r+' });
      const { stdout } = await systemRun('sfdisk', ['--json', path]);
      const made = (JSON.parse(stdout) as { partitiontable: { label: string; partitions: Record<string, unknown>[] } })
        .partitiontable;
      expect(made.label).toBe(table === 'gpt' ? 'gpt' : 'dos');
      expect(made.partitions.map(({ start, size, type }) => ({ start, size, type }))).toEqual(
        planned.partitions.map(({ startSector, sectors }) => ({
          start: startSector,
          size: sectors,
          type: table === 'gpt' ? 'A19D880F-05FC-4D3B-A006-743F0F84911E' : 'fd',
        })),
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a RAID configuration', () => {
  const good = { size_gb: 10, raid_level: '1', controller: 'software' };
  const read = (logical_disks: unknown, needsNames = false) => readRaidConfig({ logical_disks }, { needsNames });

  test('in Ironic’s words is read, RAID 10 as 1+0', () => {
    expect(
      read([
        { ...good, volume_name: 'root', is_root_volume: true, physical_disks: [{ serial: 'a' }, { serial: 'b' }] },
        { ...good, size_gb: 'MAX', raid_level: '1+0' },
      ]),
    ).toEqual([
      {
        index: 0,
        level: '1',
        sizeGib: 10,
        volumeName: 'root',
        isRootVolume: true,
        physicalDisks: [{ serial: 'a' }, { serial: 'b' }],
      },
      { index: 1, level: '10', sizeGib: 'MAX', volumeName: undefined, isRootVolume: false, physicalDisks: undefined },
    ]);
  });

  test.each([
    [undefined, /no logical_disks/],
    [[], /no logical_disks/],
    [[{ ...good, controller: 'megaraid' }], /logical disk 1: controller is not "software"/],
    [[{ ...good, raid_level: '2' }], /raid_level "2" is none of/],
    [[{ ...good, size_gb: 0 }], /size_gb 0/],
    [[{ ...good, size_gb: '1.5' }], /size_gb "1.5"/],
    [[good, { ...good, volume_name: 'a' }, { ...good, volume_name: 'a' }], /volume_name a is there twice/],
    [[{ ...good, volume_name: '-rf /' }], /no name of at most 32/],
    [[{ ...good, volume_name: 'esp' }], /kept for the mirror/],
    [[{ ...good, physical_disks: [{ serial: 'a' }] }], /names 1 disks, RAID 1 needs 2/],
    [[{ ...good, raid_level: '6', physical_disks: [{}, {}, {}] }], /names 3 disks, RAID 6 needs 4/],
    [[{ ...good, physical_disks: ['sda', 'sdb'] }], /no list of hints/],
    [
      [
        { ...good, is_root_volume: true },
        { ...good, is_root_volume: true },
      ],
      /more than one/,
    ],
    [['text'], /is no object/],
  ])('that cannot be: %j', (disks, words) => {
    expect(() => read(disks)).toThrow(words);
  });

  test('needs names where arrays are kept by their names, and all faults are told at once', () => {
    expect(() => read([good], true)).toThrow(/every logical disk needs a volume_name/);
    expect(() => read([{}])).toThrow(/controller.*raid_level.*size_gb/);
  });

  test('of any bytes is read, or refused as such', () => {
    fc.assert(
      fc.property(fc.anything({ maxDepth: 4 }), (value) => {
        let failure: unknown;
        try {
          readRaidConfig({ logical_disks: value }, { needsNames: false });
        } catch (error) {
          failure = error;
        }
        expect(failure === undefined || failure instanceof AgentError).toBe(true);
      }),
    );
  });
});
