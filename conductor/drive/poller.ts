import type { CommandProgress, CommandResult } from '../../agent/api/command.ts';
import { STATE_KINDS } from '../states/table.ts';
import type { JsonObject } from '../store/node.ts';
import { withAgent } from './agent-use.ts';
import type { DriveDeps } from './deps.ts';

const POLL_MS = 1000;
const LIST_TIMEOUT_MS = 5000;
/** While the agent does not answer, it is asked less and less often. */
const MAX_PAUSE_MS = 15_000;
/** The pause before the third look without an answer. */
const SILENT_PAUSE_MS = 4 * POLL_MS;

/** What a running command says of itself, with the step that it does. */
export function progressOf(command: CommandResult | undefined, step: JsonObject): JsonObject | undefined {
  if (command?.command_status !== 'RUNNING') return undefined;
  const said: Partial<CommandProgress> = typeof command.progress === 'object' ? command.progress : {};
  return {
    command: command.command_name,
    step: step['step'] ?? null,
    phase: said.phase ?? command.command_name,
    done: said.done ?? null,
    total: said.total ?? null,
    unit: said.unit ?? null,
    rate: said.rate ?? null,
    message: said.message ?? null,
  };
}

/**
 * Looks once a second at the command that runs in a waiting node's agent: for its progress, and so that its end is noticed
 * even when the heartbeat that tells of it gets lost. Heartbeats alone would do to get there.
 * @param onSettled called when nothing runs any more; it may be called again until the node leaves its state
 * @param onSilence called when the agent has not answered several times in a row, and again while it does not
 */
export function createPoller(
  deps: DriveDeps,
  onSettled: (uuid: string) => void,
  onSilence: (uuid: string) => Promise<void>,
): { start: (uuid: string) => void; stop: () => Promise<void> } {
  const running = new Map<string, Promise<void>>();
  const { signal } = deps.jobs;

  /** @returns milliseconds until the next look, or undefined when there is nothing to look at */
  const look = async (uuid: string, lastPause: number): Promise<number | undefined> => {
    const node = deps.store.findNode(uuid);
    if (node === undefined) return undefined;
    const kind = STATE_KINDS[node.provision_state];
    if (deps.jobs.holder(uuid) !== undefined) return kind === 'waiting' || kind === 'working' ? POLL_MS : undefined;
    if (kind !== 'waiting' || node.driver_internal_info.agent_url === undefined) return undefined;
    try {
      const commands = await withAgent(deps, node, (agent) =>
        agent.listCommands({ timeoutMs: LIST_TIMEOUT_MS, attempts: 1, signal }),
      );
      const last = commands.at(-1);
      const step = node.provision_state === 'clean wait' ? node.clean_step : node.deploy_step;
      const progress = progressOf(last, step);
      deps.contacts.set(uuid, deps.os.clock.now());
      if (progress !== undefined) deps.progress.set(uuid, progress);
      else onSettled(uuid);
      return POLL_MS;
    } catch {
      signal.throwIfAborted();
      // A pause that has grown so much says that it is not the first time.
      if (lastPause >= SILENT_PAUSE_MS) await onSilence(uuid);
      return Math.min(lastPause * 2, MAX_PAUSE_MS);
    }
  };

  const poll = async (uuid: string): Promise<void> => {
    let pause: number | undefined = POLL_MS;
    while (pause !== undefined) {
      await deps.os.clock.sleep(pause, signal);
      pause = await look(uuid, pause);
    }
    deps.progress.delete(uuid);
  };

  return {
    start: (uuid) => {
      if (running.has(uuid) || signal.aborted) return;
      const done = poll(uuid)
        .catch((error: unknown) => {
          if (!signal.aborted) deps.log.error({ node: uuid, why: error }, 'polling ended');
        })
        .finally(() => running.delete(uuid));
      running.set(uuid, done);
    },
    stop: async () => {
      await Promise.all(running.values());
    },
  };
}
