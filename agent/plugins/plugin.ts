import { AgentError } from '../api/errors.ts';
import type { CommandContext, StepManager, StepRequest } from '../engine/command-table.ts';
import { reasonOf } from '../../system/failure.ts';
import { commandOf, type Manifest, type PluginStep } from './manifest.ts';
import { readSaying, requestVariables, type StepFailure, stepFailure } from './protocol.ts';
import type { AgentOs } from '../os/door.ts';

const DEFAULT_TIMEOUT_SECONDS = 3600;
/** So many lines of one run go to the log; more would push out what the agent itself has to say. */
const MOST_LOGGED_LINES = 500;
const LAST_WORDS = 8;

type Deps = { os: Pick<AgentOs, 'follow'> };

async function runStep(
  deps: Deps,
  command: readonly [string, ...string[]],
  { step, timeout = DEFAULT_TIMEOUT_SECONDS }: PluginStep,
  request: StepRequest,
  context: CommandContext,
): Promise<unknown> {
  const [program, ...args] = command;
  const { kind, node, ports } = request;
  let result: unknown = null;
  let said: StepFailure | undefined;
  let logged = 0;
  const lastWords: string[] = [];
  const onLine = (line: string, from: 'stdout' | 'stderr'): void => {
    const saying = from === 'stdout' ? readSaying(line) : undefined;
    if (saying !== undefined && 'progress' in saying) return context.progress(saying.progress);
    if (saying !== undefined && 'result' in saying) return void (result = saying.result);
    if (saying !== undefined) return void (said = saying.error);
    if (from === 'stderr') lastWords.splice(0, Math.max(0, lastWords.push(line) - LAST_WORDS));
    logged += 1;
    if (logged <= MOST_LOGGED_LINES) context.log(`${step}: ${line}`);
    if (logged === MOST_LOGGED_LINES) context.log(`${step}: … (what it says from here on is left out)`);
  };
  context.progress({ phase: step });
  const end = await deps.os.follow(program, [...args, step], {
    input: `${JSON.stringify({ kind, step, args: request.args, node, ports })}\n`,
    env: requestVariables(step, request),
    signal: context.signal,
    onLine,
    ...(timeout > 0 && { timeoutMs: timeout * 1000 }),
  });
  if (end.exitCode === 0 && said === undefined && !end.isTimedOut) return result;
  const { exitCode } = end;
  const how = end.isTimedOut
    ? `did not end within ${timeout} s and was stopped`
    : exitCode === null
      ? `was ended by ${end.killedBy}`
      : exitCode === 0
        ? 'failed'
        : `ended with exit code ${exitCode}`;
  throw stepFailure(kind, step, { exitCode, how, said, lastWords });
}

/** A manifest's steps, as everybody else's. */
export function pluginManager(name: string, manifest: Manifest, folder: string): StepManager<Deps> {
  const steps = manifest.steps.map((step) => ({
    step: step.step,
    interface: step.interface ?? 'deploy',
    priorities: step.priorities,
    rebootRequested: step.reboot_requested ?? false,
    abortable: step.abortable ?? false,
    ...(step.argsinfo && { argsinfo: step.argsinfo }),
    run: (deps: Deps, request: StepRequest, context: CommandContext) =>
      runStep(deps, commandOf(manifest.run, folder), step, request, context).catch((error: unknown) => {
        if (error instanceof AgentError) throw error;
        context.signal.throwIfAborted();
        throw new AgentError('CommandExecutionError', reasonOf(error), { cause: error });
      }),
  }));
  return { name, className: name, version: manifest.version, support: manifest.support ?? 3, steps: async () => steps };
}
