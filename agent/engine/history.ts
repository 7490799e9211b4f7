import type { CommandResult } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { reasonOf } from '../../system/failure.ts';

/**
 * Commands that an earlier process of this boot took: what was running then did not finish, and says so. Whether it
 * may be repeated is the conductor's decision, so it is FAILED and not started again.
 */
function afterRestart(saved: readonly CommandResult[]): CommandResult[] {
  return saved.map((result) => {
    if (result.command_status !== 'RUNNING') return result;
    const { progress, ...rest } = result;
    const where = progress === undefined ? '' : ` in phase "${progress.phase}"`;
    const error = new AgentError(
      'CommandExecutionError',
      `the agent stopped and was started again while ${result.command_name} was running${where}; what it was doing is ` +
        'unfinished; try: run it again, and look at collect_system_logs for why the agent stopped',
    );
    return { ...rest, command_status: 'FAILED', command_error: error.toCommandError() };
  });
}

/** A command that was taken: its result so far, and its end. */
export type Entry = { result: CommandResult; done: Promise<void> };

/** All commands of this boot, oldest first. */
export type History = {
  list: () => CommandResult[];
  last: () => CommandResult | undefined;
  get: (id: string) => Entry | undefined;
  add: (result: CommandResult) => Entry;
  /** Of a command that was refused nothing stays. */
  forget: (id: string) => void;
  /** Resolves when the history as it is now has been kept, or could not be. */
  save: () => Promise<void>;
};

/**
 * @param options.restored history of an earlier process of this boot
 * @param options.save keeps it for the next process; a full /run must not stop a command, so failures are only logged
 */
export function createHistory(options: {
  restored: readonly CommandResult[];
  save: ((history: readonly CommandResult[]) => Promise<void>) | undefined;
  log: (message: string) => void;
}): History {
  const entries = new Map<string, Entry>(
    afterRestart(options.restored).map((result) => [result.id, { result, done: Promise.resolve() }]),
  );
  const list = (): CommandResult[] => [...entries.values()].map((entry) => entry.result);
  let saving: Promise<void> = Promise.resolve();
  return {
    list,
    last: () => list().at(-1),
    get: (id) => entries.get(id),
    add: (result) => {
      const entry: Entry = { result, done: Promise.resolve() };
      entries.set(result.id, entry);
      return entry;
    },
    forget: (id) => void entries.delete(id),
    save: () => {
      // One write at a time; each takes the history as it is when its turn comes.
      saving = saving
        .then(() => options.save?.(list()))
        .catch((error: unknown) => options.log(`cannot keep the command history: ${reasonOf(error)}`));
      return saving;
    },
  };
}
