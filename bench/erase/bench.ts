import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, stat } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import { watchLoad } from '../load.ts';
import type { BenchBasics } from '../report-command.ts';
import { OWN, PEERS } from './contenders.ts';
import { writePattern } from './disks.ts';
import { limitWrites, type Loop, openLoop } from './loops.ts';
import { findNwipe, type Nwipe } from './nwipe.ts';
import { makeReport, type Report, type ScenarioResult } from './report.ts';
import { type Bed, runOnce } from './run-once.ts';
import { type Medium, SCENARIOS } from './scenarios.ts';

export type EraseBenchOptions = BenchBasics & { disks: number; diskBytes: number; bytesPerSecond: number };

/** A tmpfs that every Debian has. */
const MEMORY_ROOT = '/dev/shm';
const SEED_BYTES = 32;

/** @returns undefined, and the reason among `left`, where it cannot be had on this machine */
async function orLeft<T>(
  left: string[],
  what: string,
  { signal }: BenchBasics,
  get: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    signal.throwIfAborted();
    left.push(`without ${what}: ${reasonOf(error)}`);
    return undefined;
  }
}

async function makeFiles(work: string, { disks, diskBytes, signal }: EraseBenchOptions): Promise<string[]> {
  const files: string[] = [];
  for (let index = 0; index < disks; index += 1) {
    signal.throwIfAborted();
    const path = join(work, `disk${index}`);
    const file = await open(path, 'wx');
    try {
      await file.truncate(diskBytes);
    } finally {
      await file.close();
    }
    files.push(path);
  }
  return files;
}

async function openLoops(
  options: EraseBenchOptions,
  files: readonly string[],
  left: string[],
  cleanup: AsyncDisposableStack,
): Promise<Loop[]> {
  const loops = await orLeft(left, 'loop devices, and so without nwipe', options, async () => {
    const opened: Loop[] = [];
    for (const file of files) {
      const loop = await openLoop(options.host.run, file, options.signal);
      cleanup.defer(loop.close);
      opened.push(loop);
    }
    return opened;
  });
  return loops ?? [];
}

async function whyNotSlow(loops: readonly Loop[], bytesPerSecond: number): Promise<string | undefined> {
  if (loops.length === 0 || bytesPerSecond === 0) return 'there are none';
  return (await limitWrites(loops, bytesPerSecond)) ?? (await limitWrites(loops, 0));
}

async function versionsOf({ host, signal }: EraseBenchOptions, nwipe: Nwipe | undefined) {
  const { stdout } = await host.run('dd', ['--version'], { signal });
  return {
    node: process.version,
    coreutils: /\d+\.\d+(?:\.\d+)?/.exec(stdout)?.[0] ?? 'unknown',
    ...(nwipe && { nwipe: nwipe.version }),
  };
}

/**
 * Overwrites files, and loop devices of these files, by Ingot and by its peers in turn. No other device is ever written to.
 * @throws the signal's reason; whatever was started has ended and what was made for this run is gone
 */
export async function benchErase(options: EraseBenchOptions): Promise<Report> {
  const { host, progress, signal, folder, rounds, disks, diskBytes, bytesPerSecond } = options;
  await using cleanup = new AsyncDisposableStack();
  const temporary = async (root: string) => {
    await mkdir(root, { recursive: true });
    const path = await mkdtemp(join(root, 'ingot-bench-'));
    cleanup.defer(() => rm(path, { recursive: true, force: true }));
    return path;
  };
  const left: string[] = [];
  const work = await temporary(join(folder, 'work'));
  const hasTmpfs = await stat(MEMORY_ROOT).then(
    () => true,
    () => false,
  );
  const memory = hasTmpfs ? await temporary(MEMORY_ROOT) : work;
  await mkdir(join(work, 'cage'));
  const [pattern, dirt] = [join(memory, 'pattern'), join(memory, 'dirt')];
  const seed = randomBytes(SEED_BYTES).toString('hex');
  progress.update({ phase: 'make disks' });
  await writePattern(pattern, seed, diskBytes, signal);
  await writePattern(dirt, randomBytes(SEED_BYTES).toString('hex'), diskBytes, signal);
  const files = await makeFiles(work, options);
  const loops = await openLoops(options, files, left, cleanup);
  const nwipe = loops.length === 0 ? undefined : await orLeft(left, 'nwipe', options, () => findNwipe(options));
  const notSlow = await whyNotSlow(loops, bytesPerSecond);
  if (notSlow !== undefined) left.push(`without slow devices: ${notSlow}`);
  const bed: Bed = { host, signal, work, files, loops, diskBytes, nwipe, seed, pattern, dirt, bytesPerSecond };

  const has: Record<Medium, boolean> = { files: true, loops: loops.length > 0, slow: notSlow === undefined };
  const contendersOn = (medium: Medium) =>
    [OWN, ...PEERS].filter(({ devicesOnly }) => !devicesOnly || (medium !== 'files' && nwipe !== undefined));
  const rows = SCENARIOS.filter(({ medium }) => has[medium]).map((scenario) => ({
    scenario,
    lanes: contendersOn(scenario.medium).map((contender) => ({
      contender,
      series: { name: contender.name, runs: [] as ScenarioResult['series'][number]['runs'] },
    })),
  }));
  const loadBefore = loadavg()[0] ?? 0;
  const endLoad = watchLoad();
  cleanup.defer(() => void endLoad());
  for (let round = 0; round < rounds; round += 1)
    for (const { scenario, lanes } of rows)
      // One way round and then the other: what else the machine does then favours nobody.
      for (const { contender, series } of round % 2 === 0 ? lanes : lanes.toReversed()) {
        const way = `${scenario.medium}, ${scenario.content}, ${scenario.disks}${scenario.together ? ' in parallel' : ''}`;
        progress.update({ phase: `round ${round + 1} of ${rounds}: ${way}`, message: contender.name });
        series.runs.push(await runOnce(bed, contender, scenario, round === 0));
      }
  progress.finish();
  return makeReport(
    {
      date: new Date().toISOString(),
      processors: `${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'})`,
      loadBefore,
      loadMean: endLoad(),
      rounds,
      disks,
      diskBytes,
      bytesPerSecond,
      left,
      versions: await versionsOf(options, nwipe),
    },
    rows.map(({ scenario, lanes }) => ({ ...scenario, series: lanes.map(({ series }) => series) })),
  );
}
