import type { Departure } from './commands/deps.ts';
import type { Clock } from './os/door.ts';

/** How long whoever gave the command may take to read its answer. */
const GRACE_MS = 500;
/** A command that nobody waits for (one of a flow) has no answer that could go out. */
const LONGEST_WAIT_MS = 5000;

/** The end of serving by a command: its answer goes out first, then nobody is listened to and no heartbeat is sent. */
export type DepartureDoor = {
  leave: (why: Departure) => void;
  /** An answer has gone out. */
  answered: () => void;
  /** Aborted when a command wants the end: heartbeats listen to it. */
  signal: AbortSignal;
  /** Resolves when the answer is out; at once where nobody has left. */
  gone: () => Promise<Departure | undefined>;
};

/** @param stop aborted when the agent ends for another reason */
export function createDeparture(clock: Clock, stop: AbortSignal): DepartureDoor {
  const controller = new AbortController();
  const isAnswered = new AbortController();
  let why: Departure | undefined;
  return {
    leave: (reason) => {
      why ??= reason;
      controller.abort(new Error(`this agent serves nobody any more: ${reason}`));
    },
    answered: () => why !== undefined && isAnswered.abort(),
    signal: controller.signal,
    gone: async () => {
      if (why === undefined) return undefined;
      await clock.sleep(LONGEST_WAIT_MS, AbortSignal.any([stop, isAnswered.signal])).catch(() => undefined);
      await clock.sleep(GRACE_MS, stop).catch(() => undefined);
      return why;
    },
  };
}
