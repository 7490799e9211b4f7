import { describe, expect, test } from 'vitest';

import type { DiskRecord } from '../../../agent/hardware/disk-model.ts';
import { compileHints } from '../../../agent/hardware/hints.ts';

const GIB = 1024 ** 3;

const record: DiskRecord = {
  disk: {
    name: '/dev/nvme0n1',
    model: 'SAMSUNG MZQL2 1T9',
    size: 447 * GIB,
    rotational: false,
    wwn: 'eui.0025',
    serial: 'S64GNE0R',
    vendor: null,
    wwn_with_extension: null,
    wwn_vendor_extension: null,
    hctl: null,
    by_path: '/dev/disk/by-path/pci-0000:01:00.0-nvme-1',
    logical_sectors: 512,
    physical_sectors: 4096,
    tran: 'nvme',
  },
  serials: ['S64GNE0R', 'SAMSUNG_MZQL2_S64GNE0R'],
  wwns: ['eui.0025'],
};

function matches(hints: Record<string, unknown>, of: DiskRecord = record): boolean {
  return compileHints(hints)(of).length === 0;
}

describe('root device hints', () => {
  test.each([
    ['serial', 's64gne0r', true],
    ['serial', '  S64GNE0R ', true],
    ['serial', 'SAMSUNG_MZQL2_S64GNE0R', true],
    ['serial', 'S64', false],
    ['serial', 's== S64GNE0R', true],
    ['serial', 's!= S64GNE0R', false],
    ['serial', 's!= other', true],
    ['serial', '<in> gne', true],
    ['serial', '<in> xyz', false],
    ['serial', '<or> other <or> s64gne0r', true],
    ['serial', '<or> other <or> another', false],
    ['model', 'samsung mzql2 1t9', true],
    ['model', '<in> mzql2 1t9', true],
    ['model', '<or> a b <or> SAMSUNG MZQL2 1T9', true],
    ['model', '<all-in> samsung <all-in> 1t9', true],
    ['model', '<all-in> samsung 2t0', false],
    ['model', 's>= samsung', true],
    ['model', 's< samsung', false],
    ['name', '/dev/nvme0n1', true],
    ['name', 's== /dev/sda', false],
    ['tran', 'NVMe', true],
    ['by_path', '<in> 01:00.0', true],
    ['vendor', 'none', false],
    ['vendor', 's!= ATA', true],
    ['rotational', false, true],
    ['rotational', 'no', true],
    ['rotational', true, false],
    ['rotational', 'False', true],
    ['serial', '== 5', false],
    ['wwn_with_extension', 's!= x', true],
    ['model', '<all-in> 1t9 samsung', true],
    ['size', 's== 447', true],
    ['size', 's>= 448', false],
    ['size', '<in> 447', true],
    ['size', 447, true],
    ['size', '447', true],
    ['size', '== 447', true],
    ['size', '= 400', true],
    ['size', '= 448', false],
    ['size', '>= 447', true],
    ['size', '> 447', false],
    ['size', '<= 447', true],
    ['size', '< 447', false],
    ['size', '!= 447', false],
    ['size', '<or> 100 <or> 447', true],
    ['size', '<range-in> [ 447 500 )', true],
    ['size', '<range-in> ( 447 500 ]', false],
    ['size', '<range-in> [ 100 447 )', false],
    ['size', '<range-in> [ 100 447 ]', true],
  ])('%s %j matches: %j', (key, hint, expected) => {
    expect(matches({ [key]: hint })).toBe(expected);
  });

  test('a disk of 447.13 GiB is not 447 GiB, and the reason shows why', () => {
    const odd = { ...record, disk: { ...record.disk, size: 480_103_981_056 } };
    expect(compileHints({ size: 447 })(odd)).toEqual(['size is 447.13 GiB, not 447']);
    expect(matches({ size: '>= 447' }, odd)).toBe(true);
  });

  test('all hints must match', () => {
    expect(matches({ tran: 'nvme', size: '> 400' })).toBe(true);
    expect(compileHints({ tran: 'sata', serial: 'x', size: 447 })(record)).toHaveLength(2);
  });

  test.each([
    [{ seriall: 'x' }, 'is not known'],
    [{ size: 0 }, 'whole number of GiB'],
    [{ size: '>= 1.5' }, 'whole number of GiB'],
    [{ size: '<range-in> 1 2' }, 'is not of the form'],
    [{ rotational: 'maybe' }, 'neither true nor false'],
    [{ serial: { a: 1 } }, 'is no text'],
    [{ serial: ' ' }, 'empty'],
    [{ serial: '<in> ' }, 'nothing after it'],
    [{ serial: '<all-in>' }, 'nothing after it'],
    [{ size: '<or>' }, 'nothing after it'],
    [{ size: 's447' }, 'whole number'],
    [{ rotational: 'constructor' }, 'neither true nor false'],
    [JSON.parse('{"__proto__": "x"}'), 'is not known'],
    [{ serial: '>= x' }, 's>= compares texts'],
    [{ size: '' }, 'whole number'],
    [{}, 'there are none'],
  ])('%j is refused: %s', (hints, why) => {
    expect(() => compileHints(hints)).toThrow(why);
  });
});
