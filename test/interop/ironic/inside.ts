/** The part that runs in namespaces of its own; `cell.ts` starts it, with the path of a plan. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { type Program, runProgram } from '../../../cli/program.ts';
import { createProgress } from '../../../cli/progress.ts';
import { reasonOf } from '../../../system/failure.ts';
import { systemRun, systemStart } from '../../../system/run.ts';
import { createSteps } from '../../lab/demo/steps.ts';
import { type NodeView, watched } from './client.ts';
import { type FlowName, FLOWS } from './flows.ts';
import { FILES, type Plan } from './plan.ts';
import type { InteropReport } from './report.ts';
import type { Exchange } from './record/wire.ts';
import { openWorld, type World } from './world.ts';

const CONSOLE_LINES = 25;

/** A flow in which nothing was said on the wire leaves no file. */
async function writeWire({ folder }: Plan, flow: FlowName, exchanges: readonly Exchange[]): Promise<void> {
  if (exchanges.length === 0) return;
  await mkdir(join(folder, FILES.wire), { recursive: true });
  await writeFile(join(folder, FILES.wire, `ingot-${flow}.json`), `${JSON.stringify(exchanges, undefined, 1)}\n`);
}

async function inside({ argv, stderr, signal }: Program): Promise<number> {
  const plan = JSON.parse(await readFile(argv[0] ?? '', 'utf8')) as Plan;
  const progress = createProgress('json', stderr);
  let world: World | undefined;
  const steps = createSteps(progress, signal, () => world?.machine.serial.tail(CONSOLE_LINES) ?? []);
  await using cleanup = new AsyncDisposableStack();
  const report: InteropReport = {
    result: 'passed',
    versions: {},
    acceleration: plan.acceleration,
    machineMemoryMiB: plan.memoryMiB,
    flows: [],
    steps: [],
  };
  const opened = await openWorld(plan, { run: systemRun, start: systemStart, signal }, cleanup, (name, work) =>
    steps.run(name, work),
  );
  world = opened;
  report.versions = opened.versions;
  const lastLine = () => opened.machine.serial.tail(1)[0] ?? '';
  try {
    for (const flow of plan.flows) {
      const start = performance.now();
      const seconds = () => Math.round((performance.now() - start) / 100) / 10;
      opened.recorder?.begin();
      try {
        const urls = new Set<string>();
        const observe = ({ driver_internal_info: { agent_url: url } }: NodeView) => {
          if (typeof url === 'string') urls.add(url);
        };
        const work = () => FLOWS[flow].run(opened);
        const found = await steps.run(flow, (own) => watched(own, lastLine, observe, work));
        const facts = { ...found, agentUrls: [...urls].join(' ') };
        report.flows.push({ flow, result: 'passed', seconds: seconds(), facts });
        if (opened.recorder) await writeWire(plan, flow, opened.recorder.take());
      } catch (error) {
        report.flows.push({ flow, result: 'failed', seconds: seconds(), facts: {}, error: reasonOf(error) });
        throw error;
      }
    }
  } catch (error) {
    report.result = 'failed';
    throw error;
  } finally {
    report.steps = steps.done();
    await writeFile(join(plan.folder, FILES.report), `${JSON.stringify(report, undefined, 2)}\n`);
  }
  return 0;
}

await runProgram(inside);
