import { loadavg, cpus } from 'node:os';
import { join } from 'node:path';

import { createSteps, type Steps } from '../../test/lab/demo/steps.ts';
import { bisect, type Search } from '../bisection.ts';
import { watchLoad } from '../load.ts';
import type { BenchBasics } from '../report-command.ts';
import { median } from '../statistics.ts';
import { prepareContenders, type Prepared } from './contenders.ts';
import { type BenchLab, keepLog, openLab } from './lab.ts';
import { setImage } from './node.ts';
import { compare, type Measured, type Report } from './report.ts';
import { deployRun, makeAvailable, startRun } from './runs.ts';

export type BenchOptions = BenchBasics & {
  deployments: number;
  /** Whether the smallest memories are searched. */
  searches: boolean;
  memoryMiB: number;
  stepMiB: number;
};

/** Nobody waits longer for a first start; later ones are measured by it. */
const FIRST_PATIENCE_SECONDS = 600;
const FIRST_DEPLOYMENT_SECONDS = 1800;
/** How much longer than usual a start with little memory may take before it counts as none. */
const PATIENCE = 3;
/** No machine of this kind comes up with less. */
const LEAST_MIB = 128;

type Context = BenchOptions & { steps: Steps; prepared: Prepared };

async function measureStart(context: Context, lab: BenchLab, measured: Measured, round: number): Promise<void> {
  const { steps, signal, folder } = context;
  const { boot, ...result } = await steps.run(`start ${round + 1} of ${lab.ramdisk.name}`, () =>
    startRun(lab, FIRST_PATIENCE_SECONDS, signal),
  );
  measured.starts.push(result);
  await keepLog(join(folder, 'logs', `start-${round + 1}-${lab.ramdisk.name}.log`), boot);
}

async function measureDeployment(context: Context, lab: BenchLab, measured: Measured, round: number): Promise<void> {
  const { steps, signal, folder } = context;
  const { boot, ...result } = await steps.run(`deployment ${round + 1} by ${lab.ramdisk.name}`, () =>
    deployRun(lab, FIRST_DEPLOYMENT_SECONDS, signal),
  );
  measured.deployments.push(result);
  await keepLog(join(folder, 'logs', `deployment-${round + 1}-${lab.ramdisk.name}.log`), boot);
}

/** First one, then the other, and the next time the other way round: what else the host does then favours neither. */
async function inTurn(
  labs: readonly { lab: BenchLab; measured: Measured }[],
  rounds: number,
  work: (lab: BenchLab, measured: Measured, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? labs : labs.toReversed();
    for (const { lab, measured } of order) await work(lab, measured, round);
  }
}

function patienceOf(seconds: readonly (number | undefined)[]): number {
  const known = seconds.filter((value): value is number => value !== undefined);
  return known.length === 0 ? FIRST_PATIENCE_SECONDS : Math.max(60, median(known) * PATIENCE);
}

/** @param name for the progress and the logs */
async function search(
  context: Context,
  lab: BenchLab,
  name: string,
  limits: { low: number; guess: number },
  attempt: () => Promise<{ why: string | undefined; boot: Parameters<typeof keepLog>[1] }>,
): Promise<Search> {
  const { steps, folder, progress, memoryMiB, stepMiB } = context;
  const found = await bisect({ ...limits, high: memoryMiB, step: stepMiB }, async (mebibytes) => {
    lab.setMemory(mebibytes);
    const { why, boot } = await steps.run(`${name} of ${lab.ramdisk.name} with ${mebibytes} MiB`, attempt);
    progress.log(`  ${mebibytes} MiB: ${why ?? 'enough'}`);
    await keepLog(join(folder, 'logs', `${name.replaceAll(' ', '-')}-${mebibytes}-${lab.ramdisk.name}.log`), boot);
    return why === undefined;
  });
  lab.setMemory(memoryMiB);
  return found;
}

async function searchStart(context: Context, lab: BenchLab, measured: Measured): Promise<void> {
  const patience = patienceOf(measured.starts.map((one) => one.heartbeatSeconds));
  // What was in use while it had plenty is a good first guess.
  const available = measured.starts.flatMap((one) => one.availableBytes ?? []);
  const guess = context.memoryMiB - (available.length === 0 ? 0 : median(available) / 2 ** 20);
  measured.smallestStart = await search(context, lab, 'start', { low: LEAST_MIB, guess }, () =>
    startRun(lab, patience, context.signal),
  );
}

async function searchDeployment(context: Context, lab: BenchLab, measured: Measured): Promise<void> {
  const patience = patienceOf(measured.deployments.map((one) => one.seconds));
  // What does not come up does not deploy.
  const guess = measured.smallestStart?.smallest ?? LEAST_MIB + context.stepMiB;
  measured.smallestDeployment = await search(context, lab, 'deployment', { low: guess - context.stepMiB, guess }, () =>
    deployRun(lab, patience, context.signal),
  );
}

async function prepareDeployments({ steps, signal, prepared }: Context, lab: BenchLab): Promise<void> {
  await steps.run(`make ${lab.ramdisk.name}'s node available`, async () => {
    await makeAvailable(lab, FIRST_PATIENCE_SECONDS, signal);
    const { public_url: url } = (await lab.api('GET', '/ingot/v1/info')) as { public_url: string };
    await setImage(lab, { url: `${url}/images/${prepared.image.name}`, sha256: prepared.image.sha256 });
  });
}

const empty = (ramdisk: Measured['ramdisk']): Measured => ({
  ramdisk,
  starts: [],
  deployments: [],
  smallestStart: undefined,
  smallestDeployment: undefined,
});

/**
 * Starts Ingot's ramdisk and one with ironic-python-agent in turn, in two machines that are the same, by the same conductor.
 * @throws Failure that names the step which could not be finished
 */
export async function benchRamdisks(options: BenchOptions): Promise<Report> {
  const { host, progress, signal, folder, memoryMiB, stepMiB } = options;
  let current: BenchLab | undefined;
  const steps = createSteps(progress, signal, () => current?.machine.serial.tail(20) ?? []);
  const prepared = await prepareContenders(options, steps);
  const context: Context = { ...options, steps, prepared };
  const { image } = prepared;
  await using cleanup = new AsyncDisposableStack();
  const open = async (ramdisk: Measured['ramdisk']) => {
    const lab = await steps.run(`machine and conductor for ${ramdisk.name}`, (own) =>
      openLab({
        host,
        arch: prepared.machine.arch,
        ramdisk,
        folder,
        httpRoot: image.folder,
        memoryMiB,
        progress: own,
        signal,
      }),
    );
    cleanup.defer(() => lab.close());
    return { lab, measured: empty(ramdisk) };
  };
  const labs = [await open(prepared.own), await open(prepared.peer)];
  const each = async (work: (context: Context, lab: BenchLab, measured: Measured) => Promise<void>) => {
    for (const { lab, measured } of labs) {
      current = lab;
      await work(context, lab, measured);
    }
  };
  const loadBefore = loadavg()[0] ?? 0;
  const endLoad = watchLoad();
  cleanup.defer(() => void endLoad());
  await inTurn(labs, options.rounds, (lab, measured, round) => {
    current = lab;
    return measureStart(context, lab, measured, round);
  });
  if (options.searches) await each(searchStart);
  if (options.deployments > 0) {
    await each(prepareDeployments);
    await inTurn(labs, options.deployments, (lab, measured, round) => {
      current = lab;
      return measureDeployment(context, lab, measured, round);
    });
    if (options.searches) await each(searchDeployment);
  }
  const [own, peer] = labs.map(({ measured }) => measured);
  if (own === undefined || peer === undefined) throw new TypeError('two ramdisks take part');
  return compare(
    {
      date: new Date().toISOString(),
      acceleration: prepared.acceleration,
      memoryMiB,
      memoryStepMiB: stepMiB,
      processors: `${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'})`,
      loadBefore,
      loadMean: endLoad(),
      image: { bytes: image.bytes, virtualBytes: image.virtualBytes },
    },
    own,
    peer,
  );
}
