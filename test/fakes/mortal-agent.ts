// An agent in a process of its own that dies where a test says: `mortal-agent.ts CMDLINE STATE_DIRECTORY JOURNAL [DEATH]`.
// DEATH is `NUMBER:before|torn|after` for the so-manieth change of a state file, or `STEP:begin|middle|end`.
// The journal gets a line for each change, and for each beginning and end of a step.
import { appendFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { runAgent } from '../../agent/agent.ts';
import type { SystemFiles } from '../../agent/os/door.ts';
import { systemFiles } from '../../agent/os/files.ts';
import { stepCommands } from '../../agent/engine/steps.ts';
import { fakeOs, fakeRun, memoryFiles } from './agent-os.ts';
import { fakeParts } from './agent-parts.ts';
import { fastClock } from './clock.ts';
import type { AgentDeps } from '../../agent/commands/deps.ts';
import { GENERIC } from '../../agent/commands/table.ts';
import type { StepSpec } from '../../agent/engine/command-table.ts';

const [cmdline = '', stateDirectory = '', journal = '', death = ''] = process.argv.slice(2);
const note = (line: string): void => appendFileSync(journal, `${line}\n`);
const die = (): void => {
  note(`death ${death}`);
  process.kill(process.pid, 'SIGKILL');
};

note('start');

let changes = 0;
/** Counts a change and dies before, in the middle of, or after it. */
async function change(what: string, path: string, work: () => Promise<void>, tear: () => void): Promise<void> {
  changes += 1;
  const [number, how] = death.split(':');
  const isLast = Number(number) === changes;
  note(`change ${changes} ${what} ${basename(path)}`);
  if (isLast && how === 'before') die();
  if (isLast && how === 'torn') {
    tear();
    die();
  }
  await work();
  if (isLast && how === 'after') die();
}

const nothing = (): void => undefined;
const stateFiles: SystemFiles = {
  ...systemFiles,
  write: (path, content, mode) => {
    const half = content.slice(0, content.length / 2);
    const tear = (): void => writeFileSync(join(dirname(path), '.0123456789ab.tmp'), half);
    return change('write', path, () => systemFiles.write(path, content, mode), tear);
  },
  makeDirectory: (path, mode) => change('make', path, () => systemFiles.makeDirectory(path, mode), nothing),
  remove: (path) => change('remove', path, () => systemFiles.remove(path), nothing),
};

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const STEPS = { erase_devices_metadata: 99, erase_devices: 10 };

const { parts } = await fakeParts({
  cmdline,
  stateDirectory,
  stateFiles,
  os: fakeOs({
    clock: fastClock(100),
    run: Object.assign(
      (async (file, args) => {
        note(`program ${[file, ...args].join(' ')}`);
        return { stdout: '', stderr: '', exitCode: 0 };
      }) satisfies AgentDeps['os']['run'],
      fakeRun(),
    ),
    files: memoryFiles({ '/sys/class/net/eth0/device/x': '' }),
  }),
  signal: new AbortController().signal,
  commands: stepCommands<AgentDeps>({
    managers: () => [
      {
        ...GENERIC,
        steps: async () =>
          Object.entries(STEPS).map<StepSpec<AgentDeps>>(([step, priority]) => ({
            step,
            interface: 'deploy',
            priorities: { clean: priority, deploy: priority },
            run: async (_deps, _request, context) => {
              const at = (when: string): void => {
                note(`${step} ${when}`);
                if (death === `${step}:${when}`) die();
              };
              at('begin');
              context.progress({ phase: 'erase', done: 0, total: 1 });
              await pause(20);
              at('middle');
              await pause(20);
              at('end');
            },
          })),
      },
    ],
    cacheNode: (deps, node) => (deps.node.current = node),
  }),
});
parts.console.log = ((log) => (message: string) => {
  note(`log ${message}`);
  log(message);
})(parts.console.log);
parts.console.status = ((status) => (next: Parameters<typeof status>[0]) => {
  if (next.state !== undefined) note(`state ${next.state}`);
  status(next);
})(parts.console.status);
await runAgent(parts);
