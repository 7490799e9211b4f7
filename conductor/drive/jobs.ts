import { driveFailure } from './failures.ts';

/** Work on nodes: one job a node at a time, all of them ended with the conductor. */
export type Jobs = {
  /** Who has the node, for `reservation`. */
  holder: (uuid: string) => string | undefined;
  /**
   * Takes the node and starts the work; does not wait for it. The work must see to its own failures.
   * @throws Failure NODE_LOCKED at once when another job has the node
   */
  start: (uuid: string, what: string, work: (signal: AbortSignal) => Promise<void>) => void;
  /** As `start`, but does nothing when the node is taken. @returns whether it was started */
  tryStart: (uuid: string, what: string, work: (signal: AbortSignal) => Promise<void>) => boolean;
  /** Runs a short synchronous change only if no job has the node. @throws Failure NODE_LOCKED */
  assertFree: (uuid: string) => void;
  /** Aborts all jobs and waits for them. */
  stop: () => Promise<void>;
  /** Waits until no job is left; for tests. */
  idle: () => Promise<void>;
  readonly signal: AbortSignal;
};

export function createJobs(onCrash: (uuid: string, what: string, error: unknown) => void): Jobs {
  const running = new Map<string, { what: string; done: Promise<void> }>();
  const controller = new AbortController();
  const tryStart: Jobs['tryStart'] = (uuid, what, work) => {
    if (running.has(uuid) || controller.signal.aborted) return false;
    // The work starts in the next microtask, after the lock is visible to it.
    const done = Promise.resolve()
      .then(() => work(controller.signal))
      .catch((error: unknown) => {
        if (!controller.signal.aborted) onCrash(uuid, what, error);
      })
      .finally(() => running.delete(uuid));
    running.set(uuid, { what, done });
    return true;
  };
  const assertFree: Jobs['assertFree'] = (uuid) => {
    const job = running.get(uuid);
    if (job !== undefined) throw driveFailure('NODE_LOCKED', `${uuid}: ${job.what} is under way`);
    if (controller.signal.aborted) throw driveFailure('NODE_LOCKED', `${uuid}: the conductor is stopping`);
  };
  const idle = async () => {
    while (running.size > 0) await Promise.all([...running.values()].map((job) => job.done));
  };
  return {
    holder: (uuid) => running.get(uuid)?.what,
    tryStart,
    assertFree,
    start: (uuid, what, work) => {
      assertFree(uuid);
      tryStart(uuid, what, work);
    },
    idle,
    stop: async () => {
      controller.abort(new Error('the conductor is stopping'));
      await idle();
    },
    signal: controller.signal,
  };
}
