import { randomUUID } from 'node:crypto';

import type { CommandProgress, CommandResult } from '../api/command.ts';
import { AgentError, type AgentErrorType } from '../api/errors.ts';
import type { CommandContext, CommandSpec } from './command-table.ts';
import { createHistory, type Entry, type History } from './history.ts';
import { shapeResult, toCommandError } from './outcome.ts';
import { checkParamValues, paramNamesError } from './params.ts';

export type RunnerEvents = {
  /** `command` is the short name, `title` what the operator should read (`execute_clean_step erase_devices`). */
  started?: (command: string, title: string) => void;
  progress?: (command: string, progress: CommandProgress) => void;
  finished?: (result: CommandResult, mode: 'sync' | 'async') => void;
};

export type RunnerOptions<Deps> = {
  commands: readonly CommandSpec<Deps>[];
  deps: Deps;
  /** Aborted when the agent stops. */
  signal: AbortSignal;
  log: (message: string) => void;
  events?: RunnerEvents;
  /** History of an earlier process of this boot. */
  restored?: readonly CommandResult[];
  /** Keeps the history for the next process; called before a command starts and after it ended. */
  save?: (history: readonly CommandResult[]) => Promise<void>;
  /** Milliseconds that never jump, for rates. */
  monotonic?: () => number;
};

/** Runs the agent's commands one at a time and remembers them in order. */
export type Runner = {
  /**
   * Runs a sync command to its end, starts an async one; with `wait` also waits for the latter.
   * @throws AgentError for what is refused before it starts: unknown names, bad values, busy
   */
  execute: (name: string, params: Record<string, unknown>, wait?: boolean) => Promise<CommandResult>;
  history: () => CommandResult[];
  /** With `wait` the answer comes when the command is done. @throws AgentError `NotFound` */
  get: (id: string, wait?: boolean) => Promise<CommandResult>;
};

function split(name: string): { extension: string; command: string } {
  const dot = name.indexOf('.');
  if (dot <= 0 || dot === name.length - 1) {
    throw new AgentError('InvalidCommandError', 'Command name must be of the form <extension>.<name>');
  }
  return { extension: name.slice(0, dot), command: name.slice(dot + 1) };
}

/** @throws AgentError `NotFound` for an extension that is not there, `InvalidCommandError` for a command that it does not have */
export function findCommand<Deps>(commands: readonly CommandSpec<Deps>[], name: string): CommandSpec<Deps> {
  const { extension, command } = split(name);
  const spec = commands.find((candidate) => candidate.name === name);
  if (spec !== undefined) return spec;
  if (!commands.some((candidate) => candidate.name.startsWith(`${extension}.`))) {
    throw new AgentError('NotFound', `Extension with id ${extension} not found.`);
  }
  throw new AgentError('InvalidCommandError', `Unknown command: ${command}`);
}

/** What stands on the console for a command: steps are told apart by their step's name. */
function titleOf(command: string, params: Record<string, unknown>): string {
  const step = params['step'];
  const name = typeof step === 'object' && step !== null && 'step' in step ? step.step : undefined;
  return typeof name === 'string' ? `${command} ${name}` : command;
}

/** Fills in the rate, units per second since the phase began, where the command did not. */
function rateMeter(monotonic: () => number): (progress: CommandProgress) => CommandProgress {
  let phase: string | undefined;
  let startedAt = 0;
  let startedWith = 0;
  return (progress) => {
    const now = monotonic();
    if (progress.phase !== phase) {
      phase = progress.phase;
      startedAt = now;
      startedWith = progress.done ?? 0;
    }
    if (progress.rate !== undefined || progress.done === undefined || now - startedAt < 1000) return progress;
    return { ...progress, rate: Math.round(((progress.done - startedWith) * 1000) / (now - startedAt)) };
  };
}

/** What a command that failed has done nevertheless; what cannot be sent is no reason for another error. */
function partialResult(error: unknown, name: string, mode: 'sync' | 'async'): unknown {
  if (!(error instanceof AgentError)) return null;
  try {
    return shapeResult(error.result, name, mode);
  } catch {
    return null;
  }
}

/** How a command that has run stands in the history. */
async function outcomeOf<Deps>(
  spec: CommandSpec<Deps>,
  started: CommandResult,
  work: () => Promise<unknown>,
): Promise<CommandResult> {
  const { progress: _, ...rest } = started;
  const name = started.command_name;
  try {
    return { ...rest, command_status: 'SUCCEEDED', command_result: shapeResult(await work(), name, spec.mode) };
  } catch (error) {
    const command_error = toCommandError(error);
    const mismatch = spec.mode === 'async' && command_error.type === 'VersionMismatch';
    return {
      ...rest,
      // The full name, as IPA has it for sync commands that raised: the conductor's polling looks at short ones only.
      command_name: spec.mode === 'sync' ? spec.name : name,
      command_status: mismatch ? 'CLEAN_VERSION_MISMATCH' : 'FAILED',
      command_error,
      command_result: partialResult(error, name, spec.mode),
    };
  }
}

function contextOf<Deps>(options: RunnerOptions<Deps>, entry: Entry): CommandContext {
  const meter = rateMeter(options.monotonic ?? (() => performance.now()));
  return {
    signal: options.signal,
    log: options.log,
    progress: (progress) => {
      if (entry.result.command_status !== 'RUNNING') return; // a late word of a command that has ended
      entry.result = { ...entry.result, progress: meter(progress) };
      options.events?.progress?.(entry.result.command_name, entry.result.progress ?? progress);
    },
  };
}

/** Takes a command into the history and starts it; bad names of parameters are a failed command, bad values none at all. */
async function begin<Deps>(
  options: RunnerOptions<Deps>,
  history: History,
  spec: CommandSpec<Deps>,
  params: Record<string, unknown>,
): Promise<Entry> {
  const { command } = split(spec.name);
  const refusal = paramNamesError(command, spec.params, params);
  if (refusal === undefined) {
    checkParamValues(command, spec.params, params);
    spec.validate?.(params as never);
  }
  const entry = history.add({
    id: randomUUID(),
    command_name: command,
    command_status: 'RUNNING',
    command_error: null,
    command_result: null,
  });
  options.events?.started?.(command, titleOf(command, params));
  // Before anybody is told that it runs: should this process die of it, the next one must know. A conductor that finds
  // an empty history takes the machine for freshly booted and goes on with the next step.
  await history.save();
  const work = async (): Promise<unknown> => {
    if (refusal !== undefined) throw refusal;
    return spec.run(options.deps, params as never, contextOf(options, entry));
  };
  entry.done = outcomeOf(spec, entry.result, work).then(async (result) => {
    entry.result = result;
    await history.save();
    options.events?.finished?.(result, spec.mode);
  });
  return entry;
}

/** Such an error of a sync command is its caller's, as HTTP 400: IPA keeps nothing of such a command (`extensions/base.py`). */
const REFUSALS: readonly string[] = ['InvalidContentError', 'InvalidCommandError', 'InvalidCommandParamsError'];

async function answerRefusal(history: History, { result }: Entry): Promise<void> {
  const { command_error: error } = result;
  if (error === null || !REFUSALS.includes(error.type)) return;
  history.forget(result.id);
  await history.save();
  throw new AgentError(error.type as AgentErrorType, error.details);
}

export function createRunner<Deps>(options: RunnerOptions<Deps>): Runner {
  const history = createHistory({ restored: options.restored ?? [], save: options.save, log: options.log });
  let lock: Promise<unknown> = Promise.resolve();

  const dispatch = async (name: string, params: Record<string, unknown>): Promise<Entry> => {
    split(name);
    const last = history.last();
    if (last?.command_status === 'RUNNING') {
      throw new AgentError('AgentIsBusy', `executing command ${last.command_name}`);
    }
    const spec = findCommand(options.commands, name);
    const entry = await begin(options, history, spec, params);
    if (spec.mode === 'sync') {
      await entry.done;
      await answerRefusal(history, entry);
    }
    return entry;
  };

  const isBusy = (): boolean => history.last()?.command_status === 'RUNNING';
  let besides: Promise<unknown> = Promise.resolve();
  /** Runs a command beside the one that runs; one such at a time, and with a history of its own. */
  const executeBeside = (spec: CommandSpec<Deps>, params: Record<string, unknown>): Promise<CommandResult> => {
    const { events: _events, ...quiet } = options;
    const own = createHistory({ restored: [], save: undefined, log: options.log });
    const turn = besides.then(async () => {
      options.log(`command ${spec.name} runs beside ${history.last()?.command_name ?? 'none'}`);
      const entry = await begin(quiet, own, spec, params);
      await entry.done;
      await answerRefusal(own, entry);
      return entry.result;
    });
    besides = turn.catch(() => undefined);
    return turn;
  };

  return {
    execute: async (name, params, wait = false) => {
      // Not in the lock's turn: a sync command holds it until it is done.
      const beside = isBusy() ? options.commands.find((spec) => spec.name === name && spec.whileBusy) : undefined;
      if (beside !== undefined) return executeBeside(beside, params);
      const turn = lock.then(() => dispatch(name, params));
      lock = turn.catch(() => undefined);
      const entry = await turn;
      if (wait) await entry.done;
      return entry.result;
    },
    history: history.list,
    get: async (id, wait = false) => {
      const entry = history.get(id);
      if (entry === undefined) throw new AgentError('NotFound', `Command Result with id ${id} not found.`);
      if (wait) await entry.done;
      return entry.result;
    },
  };
}
