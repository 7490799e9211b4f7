import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type Layout, type LayoutWish, matchLayout, planLayout } from '../../../agent/disk/layout.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const WISH: LayoutWish = {
  label: 'gpt',
  bootMode: 'uefi',
  rootMib: 10 * 1024,
  swapMib: 512,
  ephemeralMib: 2048,
  configDriveMib: 1,
  efiMib: 550,
  biosBootMib: 1,
};
const disk = (sizeBytes: number, sectorBytes = 512) => ({ path: '/dev/sda', sizeBytes, sectorBytes });
const show = (layout: Layout) =>
  layout.partitions.map(({ number, role, startSector }) => `${number} ${role} ${startSector}`);

describe('the layout of a partition image', () => {
  test('has its partitions in the order and with the numbers that IPA gives them', () => {
    expect(show(planLayout(WISH, disk(20 * GIB)))).toEqual([
      '1 efi system partition 2048',
      '2 ephemeral 1128448',
      '3 swap 5322752',
      '4 configdrive 6371328',
      '5 root 6373376',
    ]);
  });

  test.each<[string, Partial<LayoutWish>, string[]]>([
    [
      'BIOS and MBR',
      { bootMode: 'bios', label: 'msdos' },
      ['1 ephemeral 2048', '2 swap 4196352', '3 configdrive 5244928', '4 root 5246976'],
    ],
    [
      'BIOS and GPT',
      { bootMode: 'bios', swapMib: 0, ephemeralMib: 0, configDriveMib: 0 },
      ['1 BIOS Boot partition 2048', '2 root 4096'],
    ],
    [
      'nothing but a root',
      { bootMode: 'bios', label: 'msdos', swapMib: 0, ephemeralMib: 0, configDriveMib: 0 },
      ['1 root 2048'],
    ],
  ])('with %s', (_, change, shown) => {
    expect(show(planLayout({ ...WISH, ...change }, disk(20 * GIB)))).toEqual(shown);
  });

  test('is refused with numbers when the disk is too small, and when an MBR cannot name that much', () => {
    expect(() => planLayout(WISH, disk(12 * GIB))).toThrow(
      /cannot partition \/dev\/sda: efi system partition 550 MiB, .*root 10240 MiB need more than the 12286 MiB that it has/,
    );
    const large = { ...WISH, bootMode: 'bios', label: 'msdos', rootMib: 3 * 1024 ** 2 } as const;
    expect(() => planLayout(large, disk(4096 * GIB))).toThrow(
      '2097150 MiB that an MBR can name; set the capability disk_label to gpt',
    );
  });

  const wish = fc.record({
    label: fc.constantFrom<LayoutWish['label']>('gpt', 'msdos'),
    bootMode: fc.constantFrom<LayoutWish['bootMode']>('uefi', 'bios'),
    rootMib: fc.integer({ min: 1, max: 6 * 1024 ** 2 }),
    swapMib: fc.integer({ min: 0, max: 1024 ** 2 }),
    ephemeralMib: fc.integer({ min: 0, max: 1024 ** 2 }),
    configDriveMib: fc.integer({ min: 0, max: 64 }),
    efiMib: fc.integer({ min: 1, max: 2000 }),
    biosBootMib: fc.integer({ min: 1, max: 8 }),
  });
  const someDisk = fc
    .record({ sectors: fc.integer({ min: 2 ** 12, max: 2 ** 34 }), sectorBytes: fc.constantFrom(512, 4096) })
    .map(({ sectors, sectorBytes }) => disk(sectors * sectorBytes, sectorBytes));
  const tryPlan = (one: LayoutWish, on: ReturnType<typeof disk>) => {
    try {
      return planLayout(one, on);
    } catch {
      return undefined;
    }
  };

  const tryMatch = (...args: Parameters<typeof matchLayout>) => {
    try {
      return matchLayout(...args);
    } catch {
      return undefined;
    }
  };

  test('is aligned, without overlap, inside the disk and between the tables, of the sizes asked for; or there is no room', () => {
    fc.assert(
      fc.property(wish, someDisk, (one, on) => {
        const sectors = on.sizeBytes / on.sectorBytes;
        const tableSectors = 1 + (128 * 128) / on.sectorBytes;
        const lastEnd = one.label === 'gpt' ? sectors - tableSectors : Math.min(sectors, 2 ** 32 - 1);
        const sizes = [
          one.bootMode === 'uefi' ? one.efiMib : 0,
          one.bootMode === 'bios' && one.label === 'gpt' ? one.biosBootMib : 0,
          one.ephemeralMib,
          one.swapMib,
          one.configDriveMib,
          one.rootMib,
        ].filter((size) => size > 0);
        const needed = (1 + sizes.reduce((sum, size) => sum + size, 0)) * MIB;
        const layout = tryPlan(one, on);
        expect(layout === undefined).toBe(needed > lastEnd * on.sectorBytes);
        let end = MIB / on.sectorBytes;
        for (const [index, { number, startSector, sectors: count }] of (layout?.partitions ?? []).entries()) {
          expect(number).toBe(index + 1);
          expect(startSector).toBeGreaterThanOrEqual(end);
          expect((startSector * on.sectorBytes) % MIB).toBe(0);
          expect(count * on.sectorBytes).toBe((sizes[index] ?? 0) * MIB);
          end = startSector + count;
        }
        expect(end).toBeLessThanOrEqual(Math.max(lastEnd, MIB / on.sectorBytes));
      }),
    );
  });

  test('with an ephemeral partition to keep is that of the old table, or is refused', () => {
    const change = fc.record({ index: fc.nat(5), mib: fc.integer({ min: -40, max: 40 }), drops: fc.boolean() });
    fc.assert(
      fc.property(wish, someDisk, fc.option(change, { nil: undefined }), (one, on, changed) => {
        const plan = tryPlan(one, on);
        fc.pre(plan !== undefined);
        const perMib = MIB / on.sectorBytes;
        const entries = plan.partitions.map(({ startSector, sectors }, index) => ({
          number: index + 1,
          startSector: startSector + 7,
          sectors: sectors + (changed?.index === index ? changed.mib * perMib : 0),
          partuuid: `u${index}`,
        }));
        if (changed?.drops) entries.pop();
        const isDrive = plan.partitions[changed?.index ?? 9]?.role === 'configdrive';
        const isSame = !changed || changed.index >= plan.partitions.length || Math.abs(changed.mib) <= 1;
        const isGood =
          plan.partitions.some(({ role }) => role === 'ephemeral') &&
          changed?.drops !== true &&
          (isDrive ? (changed?.mib ?? 0) >= 0 : isSame);
        const kept = tryMatch(plan, entries, on);
        expect(kept !== undefined).toBe(isGood);
        const numbered = kept?.partitions.map(({ number, startSector, sectors }) => ({ number, startSector, sectors }));
        const inTable = entries.map(({ number, startSector, sectors }) => ({ number, startSector, sectors }));
        expect(numbered ?? inTable).toEqual(inTable);
      }),
    );
  });
});
