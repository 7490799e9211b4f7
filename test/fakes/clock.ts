import type { Clock } from '../../agent/os/door.ts';

/** A clock that stands still until somebody sleeps, and then jumps: hours pass in no time, in the right order. */
export type FakeClock = Clock & {
  /** Every sleep that was asked for, milliseconds. */
  readonly sleeps: number[];
  advance: (milliseconds: number) => void;
};

/**
 * @param onSleep runs before each sleep ends, at the time when it began
 */
export function fakeClock(onSleep: (milliseconds: number) => void | Promise<void> = () => undefined): FakeClock {
  let time = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    advance: (milliseconds) => {
      time += milliseconds;
    },
    now: () => Date.UTC(2026, 0, 1) + time,
    monotonic: () => time,
    sleep: async (milliseconds, signal) => {
      signal?.throwIfAborted();
      sleeps.push(milliseconds);
      const before = time;
      await onSleep(milliseconds);
      signal?.throwIfAborted();
      time = Math.max(time, before + milliseconds);
    },
  };
}

/** The real clock, made faster: a heartbeat's five seconds pass in a twentieth of one. */
export function fastClock(factor: number): Clock {
  const start = performance.now();
  const monotonic = (): number => (performance.now() - start) * factor;
  return {
    now: () => Date.now(),
    monotonic,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const stop = (): void => {
          clearTimeout(timer);
          reject(signal?.reason as Error);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', stop);
          resolve();
        }, milliseconds / factor);
        signal?.addEventListener('abort', stop, { once: true });
      }),
  };
}
