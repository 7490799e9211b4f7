import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { processorSecondsOf } from '../../bench/ramdisk/lab.ts';
import { parseProbe, probeArchive } from '../../bench/ramdisk/probe.ts';
import {
  type Boot,
  fetchedBytes,
  firstHeartbeat,
  firstLookup,
  milestones,
  waterfall,
} from '../../bench/ramdisk/waterfall.ts';

const EXCHANGE = /^HTTP> (\S+) (\S+) (\d+), (\d+) bytes, until ([\d.]+)$/;

/** A start as the bench keeps it in a log, on a busy host; lines that say nothing here are left out. */
function recorded(name: string): Boot {
  const boot: { lines: Boot['lines'][number][]; exchanges: Boot['exchanges'][number][] } = { lines: [], exchanges: [] };
  for (const row of readFileSync(`test/bench/recorded/${name}-start.log`, 'utf8').trimEnd().split('\n')) {
    const [, at = '', text = ''] = /^\s*([\d.]+) (.*)$/.exec(row) ?? [];
    const [, method = '', path = '', status, bytes, end] = EXCHANGE.exec(text) ?? [];
    if (method === '') boot.lines.push({ at: Number(at), text });
    else
      boot.exchanges.push({
        method,
        path,
        begin: Number(at),
        end: Number(end),
        status: Number(status),
        bytes: Number(bytes),
      });
  }
  return boot;
}

/** Legs in the order in which each of the two starts went through them. */
const LEGS = [
  'firmware',
  'iPXE and DHCP',
  'fetch kernel and initramfs',
  'boot loader, kernel unpacks itself',
  'kernel, until it unpacks',
  'unpack',
  'kernel, after unpacking',
  'init and udev, until the network card has its driver and name',
  'network',
  'services before the agent',
  'agent loads, until its first word',
  'agent, until it asks for its node',
  'agent, until its heartbeat is taken',
];

describe.each([
  { name: 'ingot', lookup: 66.819, heartbeat: 105.707, bytes: 57_250_214, unpack: 13.36 },
  { name: 'ipa', lookup: 273.137, heartbeat: 274.332, bytes: 220_707_766, unpack: 48.05 },
])('the start of $name', ({ name, lookup, heartbeat, bytes, unpack }) => {
  const boot = recorded(name);

  test('is read from what the agent asked for, not from what it says', () => {
    expect(firstLookup(boot)).toBe(lookup);
    expect(firstHeartbeat(boot)).toBe(heartbeat);
    expect(fetchedBytes(boot)).toBe(bytes);
  });

  test('has all legs in their order, and they add up to the heartbeat', () => {
    const legs = waterfall(boot);
    expect(legs.map((leg) => leg.name)).toEqual(LEGS);
    expect(legs.every(({ seconds }) => seconds >= 0)).toBe(true);
    expect(legs.reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(heartbeat, 6);
    // By the kernel's clock, although the console hears of it late.
    expect(legs.find((leg) => leg.name === 'unpack')?.seconds).toBeCloseTo(unpack, 1);
  });

  test('that breaks off has the legs up to there', () => {
    const half: Boot = {
      lines: boot.lines.filter(({ at }) => at < 45),
      exchanges: boot.exchanges.filter(({ end }) => end < 45),
    };
    expect(firstHeartbeat(half)).toBeUndefined();
    expect(firstLookup(half)).toBeUndefined();
    const names = milestones(half).map((one) => one.name);
    expect(names.length).toBeGreaterThan(1);
    expect(LEGS.filter((leg) => names.includes(leg))).toEqual(names);
  });
});

test('a heartbeat that was refused is none', () => {
  const refused = { method: 'POST', path: '/v1/heartbeat/x', begin: 1, end: 2, status: 409, bytes: 9 };
  expect(firstHeartbeat({ lines: [], exchanges: [refused] })).toBeUndefined();
  expect(firstHeartbeat({ lines: [], exchanges: [refused, { ...refused, status: 202, end: 5 }] })).toBe(5);
});

test('what a machine costs the host is read past any name of its program', () => {
  const stat = '4242 (qemu) ) S x) S 1 4242 4242 0 -1 4194560 1 0 0 0 1234 66 0 0 20 0 5 0 100 1 1';
  expect(processorSecondsOf(stat)).toBe(13);
});

describe('the probe', () => {
  test('is read, in whatever else stands in its line', () => {
    const line =
      'ipa login: bench-probe: VmHWM:8980 VmRSS:8000 RssAnon:2940 MemTotal:2013024 MemFree:1 MemAvailable:3 kB';
    expect(parseProbe(line)).toEqual({
      resident: 8000 * 1024,
      residentMost: 8980 * 1024,
      anonymous: 2940 * 1024,
      available: 3 * 1024,
    });
    expect(parseProbe('[    1.0] resident memory 80.1 MB')).toBeUndefined();
  });

  test('is a whole archive that the kernel can unpack behind another', async () => {
    const bytes = await probeArchive();
    expect(bytes.byteLength % 4).toBe(0);
    const text = Buffer.from(bytes).toString('latin1');
    expect(text.startsWith('070701')).toBe(true);
    expect(text).toContain('TRAILER!!!');
    // Folders come before what is in them: the kernel makes none by itself.
    expect(text.indexOf('etc/ingot/early\0')).toBeLessThan(text.indexOf('etc/ingot/early/bench-probe\0'));
  });
});
