import { randomUUID } from 'node:crypto';

import type { CommandProgress, CommandResult } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { reasonOf } from '../../system/failure.ts';
import type { CommandContext, CommandSpec } from './command-table.ts';
import { afterRestart } from './history.ts';
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

type Entry = { result: CommandResult; done: Promise<void> };

function split(name: string): { extension: string; command: string } {
  const dot = name.indexOf('.');
  if (dot <= 0 || dot === name.length - 1) {
    throw new AgentError('InvalidCommandError', 'Command name must be of the form <extension>.<name>');
  }
  return { extension: name.slice(0, dot), command: name.slice(dot + 1) };
}

function find<Deps>(commands: readonly CommandSpec<Deps>[], name: string): CommandSpec<Deps> {
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

export function createRunner<Deps>(options: RunnerOptions<Deps>): Runner {
  const { commands, deps, log, events = {} } = options;
  const entries = new Map<string, Entry>(
    afterRestart(options.restored ?? []).map((result) => [result.id, { result, done: Promise.resolve() }]),
  );
  const history = (): CommandResult[] => [...entries.values()].map((entry) => entry.result);
  let lock: Promise<unknown> = Promise.resolve();
  let saving: Promise<void> = Promise.resolve();

  /** One write at a time; each takes the history as it is when its turn comes. A full /run must not stop a command. */
  const save = (): Promise<void> => {
    saving = saving
      .then(() => options.save?.(history()))
      .catch((error: unknown) => log(`cannot keep the command history: ${reasonOf(error)}`));
    return saving;
  };

  const finish = async (spec: CommandSpec<Deps>, entry: Entry, work: () => Promise<unknown>): Promise<void> => {
    const { progress: _, ...started } = entry.result;
    const name = started.command_name;
    try {
      const value = shapeResult(await work(), name, spec.mode);
      entry.result = { ...started, command_status: 'SUCCEEDED', command_result: value };
    } catch (error) {
      const command_error = toCommandError(error);
      const mismatch = spec.mode === 'async' && command_error.type === 'VersionMismatch';
      entry.result = {
        ...started,
        // The full name, as IPA has it for sync commands that raised: the conductor's polling looks at short ones only.
        command_name: spec.mode === 'sync' ? spec.name : name,
        command_status: mismatch ? 'CLEAN_VERSION_MISMATCH' : 'FAILED',
        command_error,
      };
    }
    await save();
    events.finished?.(entry.result, spec.mode);
  };

  const context = (entry: Entry): CommandContext => {
    const meter = rateMeter(options.monotonic ?? (() => performance.now()));
    return {
      signal: options.signal,
      log,
      progress: (progress) => {
        if (entry.result.command_status !== 'RUNNING') return; // a late word of a command that has ended
        entry.result = { ...entry.result, progress: meter(progress) };
        events.progress?.(entry.result.command_name, entry.result.progress ?? progress);
      },
    };
  };

  const begin = async (spec: CommandSpec<Deps>, params: Record<string, unknown>): Promise<Entry> => {
    const command = split(spec.name).command;
    // Bad names are a failed command, bad values none at all (as IPA has it).
    const refusal = paramNamesError(command, spec.params, params);
    if (refusal === undefined) {
      checkParamValues(command, spec.params, params);
      spec.validate?.(params as never);
    }
    const entry: Entry = {
      result: {
        id: randomUUID(),
        command_name: command,
        command_status: 'RUNNING',
        command_error: null,
        command_result: null,
      },
      done: Promise.resolve(),
    };
    entries.set(entry.result.id, entry);
    events.started?.(command, titleOf(command, params));
    // Before anybody is told that it runs: should this process die of it, the next one must know. A conductor that finds
    // an empty history takes the machine for freshly booted and goes on with the next step.
    await save();
    entry.done = finish(spec, entry, async () => {
      if (refusal !== undefined) throw refusal;
      return spec.run(deps, params as never, context(entry));
    });
    return entry;
  };

  const dispatch = async (name: string, params: Record<string, unknown>): Promise<Entry> => {
    split(name);
    const last = [...entries.values()].at(-1)?.result;
    if (last?.command_status === 'RUNNING') {
      throw new AgentError('AgentIsBusy', `executing command ${last.command_name}`);
    }
    const spec = find(commands, name);
    const entry = await begin(spec, params);
    if (spec.mode === 'sync') await entry.done;
    return entry;
  };

  return {
    execute: async (name, params, wait = false) => {
      const turn = lock.then(() => dispatch(name, params));
      lock = turn.catch(() => undefined);
      const entry = await turn;
      if (wait) await entry.done;
      return entry.result;
    },
    history,
    get: async (id, wait = false) => {
      const entry = entries.get(id);
      if (entry === undefined) throw new AgentError('NotFound', `Command Result with id ${id} not found.`);
      if (wait) await entry.done;
      return entry.result;
    },
  };
}
