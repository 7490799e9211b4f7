import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type Contender, OWN, PEERS } from '../../bench/erase/contenders.ts';
import { sectorsLeft, writePattern } from '../../bench/erase/disks.ts';
import { assertLoopOf } from '../../bench/erase/loops.ts';
import { makeReport, reportText, type ScenarioResult } from '../../bench/erase/report.ts';
import { systemRun } from '../../system/run.ts';

const MIB = 2 ** 20;
const SEED = 'ab'.repeat(32);
const signal = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-bench-erase-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs the command of a contender on files of the folder. */
function perform(contender: Contender, content: 'zeros' | 'pattern', together: boolean, disks: string) {
  const env = {
    NODE: process.execPath,
    PROGRAM: resolve('bench/erase/overwrite.ts'),
    COSTS: join(folder, 'costs.json'),
    SEED,
    PATTERN: join(folder, 'pattern'),
    BYTES: String(9 * MIB),
    DISKS: disks,
    CAGE: folder,
  };
  const command = `cd "${folder}" && ${contender.command(content, together)}`;
  return systemRun('bash', ['-c', command], { env, timeoutMs: 60_000 });
}

describe('what the contenders leave on files', () => {
  const dirt = randomBytes(9 * MIB);
  beforeEach(async () => {
    await writePattern(join(folder, 'pattern'), SEED, 9 * MIB, signal);
    for (const name of ['a', 'b', 'dirt']) await writeFile(join(folder, name), dirt);
  });
  const onFiles = [OWN, ...PEERS].filter(({ devicesOnly }) => !devicesOnly);
  const cases = onFiles.flatMap((one) => [
    { name: one.name, one, content: 'zeros' as const, together: true },
    { name: one.name, one, content: 'pattern' as const, together: false },
  ]);

  test.each(cases)('$name: $content, in parallel: $together', async ({ one, content, together }) => {
    await perform(one, content, together, 'a b');
    const wanted =
      content === 'zeros'
        ? Buffer.alloc(9 * MIB)
        : one.writesKnownPattern
          ? await readFile(join(folder, 'pattern'))
          : undefined;
    for (const name of ['a', 'b']) {
      const isWanted = wanted === undefined || (await readFile(join(folder, name))).equals(wanted);
      expect(isWanted).toBe(true);
      expect(await sectorsLeft(join(folder, name), join(folder, 'dirt'), signal)).toBe(0);
    }
  });

  test('is found where it was there before, by the sector', async () => {
    const erased = Buffer.alloc(9 * MIB);
    dirt.copy(erased, 5 * MIB, 5 * MIB, 5 * MIB + 1024);
    await writeFile(join(folder, 'a'), erased);
    expect(await sectorsLeft(join(folder, 'a'), join(folder, 'dirt'), signal)).toBe(2);
  });
});

describe('what the bench must never touch', () => {
  test('a device that is no loop device, or not the one of its file, is refused', async () => {
    await writeFile(join(folder, 'disk'), 'x');
    await expect(assertLoopOf('/dev/vda', join(folder, 'disk'))).rejects.toThrow('it is no loop device');
    await expect(assertLoopOf('/dev/loop0/../vda', join(folder, 'disk'))).rejects.toThrow('it is no loop device');
    await expect(assertLoopOf('/dev/loop987654', join(folder, 'disk'))).rejects.toThrow('behind it is nothing');
  });

  test('nwipe is never started without the names of disks, for then it would take all that there are', async () => {
    const nwipe = PEERS.find(({ name }) => name === 'nwipe');
    expect(nwipe).toBeDefined();
    for (const together of [true, false]) {
      const command =
        nwipe?.command('zeros', together).replaceAll(/PATH=\S+ .*?nwipe --autonuke/g, 'echo STARTED') ?? '';
      const ran = (disks: string) =>
        systemRun('bash', ['-c', command.replaceAll('>/dev/null', '')], {
          env: { DISKS: disks },
          okExitCodes: [0, 1, 127],
        });
      expect((await ran('/dev/loop1')).stdout).toMatch(/STARTED .*\/dev\/loop1/);
      const empty = await ran('');
      expect(empty.stdout).not.toMatch(/STARTED/);
      expect(empty.exitCode).not.toBe(0);
    }
  });
});

describe('the report', () => {
  const series = (name: string, ...walls: number[]) => ({
    name,
    runs: walls.map((wallSeconds) => ({ wallSeconds, processorSeconds: 1, machineSeconds: 2 })),
  });
  const zeros = { medium: 'slow' as const, content: 'zeros' as const, disks: 'all' as const };
  const scenarios: ScenarioResult[] = [
    { ...zeros, together: false, series: [series('Ingot', 10, 10), series('dd', 9, 9)] },
    {
      ...zeros,
      together: true,
      series: [series('Ingot', 2, 2.5), series('dd', 2, 2.5), { name: 'nwipe', runs: [{ why: 'no tree' }] }],
    },
  ];
  const report = makeReport(
    {
      date: '2026-11-29',
      processors: '2 processors',
      loadBefore: 0,
      loadMean: 1,
      rounds: 2,
      disks: 8,
      diskBytes: 256 * MIB,
      bytesPerSecond: 2e8,
      left: ['without moon: it is day'],
      versions: { node: 'v24' },
    },
    scenarios,
  );

  test('compares speeds round by round: the time of dd over that of Ingot, at least 0.95', () => {
    expect(report.goals.map(({ value, met }) => [value?.median, met])).toEqual([
      [0.9, false],
      [1, true],
    ]);
  });

  test('says how much sooner all disks are done in parallel', () => {
    expect(report.gains.map(({ name, value }) => [name, value.values])).toEqual([
      ['Ingot', [5, 4]],
      ['dd', [4.5, 3.6]],
    ]);
  });

  test('as text has the tables, the goals, and what could not be measured', () => {
    const text = reportText(report);
    expect(text).toMatch(/^zeros, 8 in parallel, loop devices as slow as disks$/m);
    expect(text).toMatch(/^dd +9\.00 s +0\.90 +1\.00 s +2\.00 s$/m);
    expect(text).toMatch(/^MISSED +zeros, 8 one after the other/m);
    expect(text).toMatch(/nwipe: no figures: no tree/);
    expect(text).toMatch(/^without moon: it is day$/m);
  });
});
