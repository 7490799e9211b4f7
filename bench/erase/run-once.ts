import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import { measure, parseTimes, TIME_FORMAT } from '../measure.ts';
import type { BenchBasics } from '../report-command.ts';
import type { Contender } from './contenders.ts';
import { sectorsLeft } from './disks.ts';
import { assertLoopOf, limitWrites, type Loop } from './loops.ts';
import type { Nwipe } from './nwipe.ts';
import type { RunResult } from './report.ts';
import type { Scenario } from './scenarios.ts';

/** As in the ramdisk (elements/agent/files/etc/ingot/agent). */
const THREADS = '12';
/** Of /proc/stat; USER_HZ is 100 on every architecture of Ingot (proc_stat(5)). */
const TICKS = 100;
const HERE = resolve('bench/erase');

export type Bed = Pick<BenchBasics, 'host' | 'signal'> & {
  /** Folder of the disks' files. */
  work: string;
  files: readonly string[];
  /** Of the files, in their order; none where the machine has none. */
  loops: readonly Loop[];
  diskBytes: number;
  /** Of slow devices. */
  bytesPerSecond: number;
  nwipe: Nwipe | undefined;
  seed: string;
  /** What an overwrite writes, and what was on the disks before: files as long as a disk. */
  pattern: string;
  dirt: string;
};

/** Processor time of the whole machine, seconds, also the kernel's own threads: of loop devices, and of the cache's pages. */
async function busySeconds(): Promise<number> {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, soft = 0] = (await readFile('/proc/stat', 'utf8'))
    .split('\n', 1)
    .join('')
    .split(/ +/)
    .map(Number);
  return (user + nice + system + irq + soft) / TICKS;
}

async function fill({ host, dirt, signal }: Bed, disks: readonly string[]): Promise<void> {
  for (const disk of disks)
    await host.run('dd', [`if=${dirt}`, `of=${disk}`, 'bs=4M', 'oflag=direct', 'conv=notrunc,fsync', 'status=none'], {
      signal,
    });
}

/** An eraser that leaves something is none. @returns what is wrong with the disks */
async function whatIsWrong(
  bed: Bed,
  contender: Contender,
  { content }: Scenario,
  disks: readonly string[],
): Promise<string | undefined> {
  const { host, dirt, pattern, diskBytes, signal } = bed;
  for (const disk of disks) {
    if (content === 'pattern' && !contender.writesKnownPattern) {
      const left = await sectorsLeft(disk, dirt, signal);
      if (left > 0) return `${left} sectors of ${disk} are what they were before`;
      continue;
    }
    const wanted = content === 'zeros' ? '/dev/zero' : pattern;
    try {
      await host.run('cmp', ['--bytes', String(diskBytes), disk, wanted], { signal });
    } catch (error) {
      signal.throwIfAborted();
      return `it did not write what it was to write: ${reasonOf(error)}`;
    }
  }
  return undefined;
}

async function atRate<T>({ loops, bytesPerSecond }: Bed, { medium }: Scenario, job: () => Promise<T>): Promise<T> {
  if (medium !== 'slow') return job();
  const why = await limitWrites(loops, bytesPerSecond);
  if (why !== undefined) throw new Error(`cannot make loop devices slow: ${why}`);
  try {
    return await job();
  } finally {
    await limitWrites(loops, 0);
  }
}

/** One contender on the disks of a scenario; in the first round with what was there before, and a look at what is there afterwards. */
export async function runOnce(
  bed: Bed,
  contender: Contender,
  scenario: Scenario,
  isFirst: boolean,
): Promise<RunResult> {
  const { host, work, files, loops, signal } = bed;
  const isCaged = scenario.medium !== 'files';
  const count = scenario.disks === 'one' ? 1 : files.length;
  const disks = (isCaged ? loops.map(({ path }) => path) : files).slice(0, count);
  // Device names are given away again: each time anew it has to be ours.
  if (isCaged) for (const [index, path] of disks.entries()) await assertLoopOf(path, files[index] ?? '');
  if (isFirst) await fill(bed, disks);
  // What the one before left to be written back is not to be paid for by this one.
  await host.run('sync', ['--file-system', work], { signal });
  const costs = join(work, 'costs.json');
  const times = join(work, 'times');
  for (const path of [costs, times]) await rm(path, { force: true });
  const names = isCaged ? disks : disks.map((_, index) => `disk${index}`);
  const env = {
    NODE: process.execPath,
    UV_THREADPOOL_SIZE: THREADS,
    PROGRAM: join(HERE, 'overwrite.ts'),
    COSTS: costs,
    SEED: bed.seed,
    PATTERN: bed.pattern,
    BYTES: String(bed.diskBytes),
    WORK: work,
    DISKS: names.join(' '),
    DEVICES: isCaged ? names.join(' ') : '',
    CAGE: join(work, 'cage'),
    CAGE_PROGRAM: join(HERE, 'cage.sh'),
    NWIPE: contender.devicesOnly ? (bed.nwipe?.folder ?? '') : '',
    TIMES: times,
    TIMEFORMAT: TIME_FORMAT,
    // What making the cage takes is nobody's.
    COMMAND: `{ time { ${contender.command(scenario.content, scenario.together)}; } 2>&3; } 3>&2 2>"$TIMES"`,
  };
  const shell = isCaged ? 'unshare --mount --propagation private bash "$CAGE_PROGRAM"' : 'bash -c';
  const { cost, why, machineSeconds } = await atRate(bed, scenario, async () => {
    const before = await busySeconds();
    const measured = await measure(host.start, `cd "$WORK" && ${shell} "$COMMAND"`, env, signal);
    return { ...measured, machineSeconds: (await busySeconds()) - before };
  });
  if (cost === undefined) return { why: why ?? 'unknown' };
  const own = await readFile(costs, 'utf8').then(
    (text) => JSON.parse(text) as Pick<RunResult, 'wallSeconds' | 'processorSeconds'>,
    async () => parseTimes(await readFile(times, 'utf8')),
  );
  const wrong = isFirst ? await whatIsWrong(bed, contender, scenario, disks) : undefined;
  return { ...cost, ...own, machineSeconds, ...(wrong !== undefined && { why: wrong }) };
}
