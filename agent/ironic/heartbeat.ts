import type { Clock } from '../os/door.ts';

/** Timing rules of IPA's heartbeater (`agent.py`): Ironic's own time-outs are made for these. */
const SHARE_OF_TIMEOUT = [0.3, 0.6] as const;
const FAILED_WAIT_SECONDS = [5, 10] as const;
/** A beat that comes sooner after another may find the node still locked by it, and is then silently lost. */
const LEAST_GAP_SECONDS = 5;

export type HeartbeatOptions = {
  /** One beat; whatever it throws is a failed beat. */
  send: (signal: AbortSignal) => Promise<void>;
  /** Ironic's time-out, seconds. */
  timeoutSeconds: number;
  clock: Clock;
  /** 0 to 1. */
  random: () => number;
  signal: AbortSignal;
  onBeat: (outcome: { error?: unknown; nextSeconds: number }) => void;
};

export type HeartbeatLoop = {
  /** Beats soon rather than at its time: an async command has ended. */
  force: () => void;
  /** Beats at once and from then on, until the signal aborts. Never throws. */
  run: () => Promise<void>;
};

function between([low, high]: readonly [number, number], random: () => number): number {
  return low + random() * (high - low);
}

export function createHeartbeat(options: HeartbeatOptions): HeartbeatLoop {
  const { clock, random, signal } = options;
  let forced = false;
  let wake = new AbortController();

  const beat = async (): Promise<number> => {
    const wasForced = forced;
    forced = false; // one that is set while this beat is on its way is for the next
    try {
      await options.send(signal);
      const wait = between(SHARE_OF_TIMEOUT, random) * options.timeoutSeconds;
      options.onBeat({ nextSeconds: wait });
      return wait;
    } catch (error) {
      forced ||= wasForced;
      const wait = between(FAILED_WAIT_SECONDS, random);
      if (!signal.aborted) options.onBeat({ error, nextSeconds: wait });
      return wait;
    }
  };

  /** Sleeps until the beat is due; `force` moves that time forward. */
  const waitFor = async (last: number, regularSeconds: number): Promise<void> => {
    while (!signal.aborted) {
      const seconds = forced ? Math.min(LEAST_GAP_SECONDS, regularSeconds) : regularSeconds;
      const left = last + seconds * 1000 - clock.monotonic();
      if (left <= 0) return;
      wake = new AbortController();
      await clock.sleep(left, AbortSignal.any([signal, wake.signal])).catch(() => undefined);
    }
  };

  return {
    force: () => {
      forced = true;
      wake.abort();
    },
    run: async () => {
      while (!signal.aborted) {
        const started = clock.monotonic();
        const wait = await beat();
        await waitFor(Math.max(started, clock.monotonic()), wait);
      }
    },
  };
}
