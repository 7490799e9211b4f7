import { describe, expect, test } from 'vitest';

import { readStatus } from '../../bench/ramdisk/ipa-ramdisk.ts';
import { compare, medianLegs, type Measured, reportText } from '../../bench/ramdisk/report.ts';

const start = (seconds: number | undefined, legs: [string, number][] = []) => ({
  lookupSeconds: seconds,
  heartbeatSeconds: seconds,
  residentBytes: 80e6,
  anonymousBytes: 40e6,
  availableBytes: 1e9,
  processorSeconds: 10,
  fetchedBytes: 57e6,
  legs: legs.map(([name, value]) => ({ name, seconds: value })),
  why: seconds === undefined ? 'Kernel panic - not syncing: no memory' : undefined,
});

function measured(name: 'Ingot' | 'IPA', starts: Measured['starts'], smallest: number): Measured {
  return {
    ramdisk: { name, description: name, kernel: '', initramfs: '', kernelBytes: 12e6, initramfsBytes: smallest * 1e5 },
    starts,
    deployments: [],
    smallestStart: { smallest, tries: [] },
    smallestDeployment: undefined,
  };
}

const conditions = {
  date: '2026-11-25T00:00:00.000Z',
  acceleration: 'tcg',
  memoryMiB: 2048,
  memoryStepMiB: 32,
  processors: '2 processors',
  loadBefore: 1,
  loadMean: 2,
  image: { bytes: 150e6, virtualBytes: 2 ** 31 },
};

describe('the report', () => {
  const own = measured('Ingot', [start(20, [['unpack', 5]]), start(24, [['unpack', 7]])], 352);
  const peer = measured('IPA', [start(80), start(undefined)], 800);
  const report = compare(conditions, own, peer);
  const text = reportText(report);
  const line = (name: string) => text.split('\n').find((one) => one.startsWith(name));

  test('compares round with round', () => {
    expect(report.rows.find(({ name }) => name === 'power-on to first accepted heartbeat')).toMatchObject({
      own: { median: 22 },
      peer: { median: 80 },
      ratio: { median: 0.25, values: [0.25] },
      goal: 0.35,
    });
  });

  test('says which goals are met and which are missed', () => {
    expect(line('power-on to first accepted heartbeat')).toMatch(/22\.0 s\s+80\.0 s\s+0\.25\s+goal 0\.35: met$/);
    expect(line('smallest memory that reaches a heartbeat')).toMatch(/352 MiB\s+800 MiB\s+0\.44\s+goal 0\.4: MISSED$/);
  });

  test('claims nothing that was not measured', () => {
    expect(line('smallest memory that deploys')).toMatch(/not measured\s+not measured\s+-$/);
    expect(text).toContain('without a figure: IPA: Kernel panic - not syncing: no memory');
  });

  test('shows where the time goes, in the middle of all rounds', () => {
    expect(medianLegs(own.starts)).toEqual([{ name: 'unpack', seconds: 6 }]);
    expect(line('unpack')).toMatch(/6\.0 s\s+-$/);
  });
});

test('the version of the peer and its packages come from dpkg', () => {
  const status = [
    'Package: zstd\nStatus: install ok installed\nVersion: 1.5.7\n',
    'Package: ironic-python-agent\nStatus: install ok unpacked\nVersion: 10.2.0-3+deb13u1\n',
    'Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n',
  ].join('\n');
  expect(readStatus(status)).toEqual({ version: '10.2.0-3+deb13u1', packages: 2 });
});
