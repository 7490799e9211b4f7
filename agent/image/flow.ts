import { alignedBuffer } from '../../system/aligned.ts';

/**
 * Runs jobs side by side while the bytes that they hold stay below a limit: the back-pressure of image writing.
 * One producer calls `start` and at the end `drain`; the first job that failed is what either of them throws.
 */
export type Flow = {
  /** Waits for room, then starts the job and returns. */
  start: (holdsBytes: number, job: () => Promise<void>) => Promise<void>;
  /** Returns when all jobs have ended. */
  drain: () => Promise<void>;
};

export function createFlow(limitBytes: number): Flow {
  const state: { held: number; failure?: { error: unknown }; wake: () => void } = { held: 0, wake: () => undefined };
  const someJobEnds = () =>
    new Promise<void>((resolve) => {
      state.wake = resolve;
    });
  const run = async (bytes: number, job: () => Promise<void>) => {
    try {
      await job();
    } catch (error) {
      state.failure ??= { error };
    } finally {
      state.held -= bytes;
      state.wake();
    }
  };
  return {
    start: async (holdsBytes, job) => {
      const bytes = Math.max(1, holdsBytes);
      while (!state.failure && state.held > 0 && state.held + bytes > limitBytes) await someJobEnds();
      if (state.failure) throw state.failure.error;
      state.held += bytes;
      void run(bytes, job);
    },
    drain: async () => {
      while (state.held > 0) await someJobEnds();
      if (state.failure) throw state.failure.error;
    },
  };
}

/**
 * A fixed number of equal buffers that go round: memory stays the same however long the image is. They may be written past the page
 * cache, and be read by other threads.
 */
export type Ring = { take: () => Promise<Buffer>; giveBack: (buffer: Buffer) => void };

export function createRing(count: number, bufferBytes: number): Ring {
  const free: Buffer[] = Array.from({ length: count }, () => alignedBuffer(bufferBytes));
  let waiting: ((buffer: Buffer) => void) | undefined;
  return {
    take: async () => free.pop() ?? new Promise<Buffer>((resolve) => (waiting = resolve)),
    giveBack: (buffer) => {
      const next = waiting;
      waiting = undefined;
      if (next) next(buffer);
      else free.push(buffer);
    },
  };
}
