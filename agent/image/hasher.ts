import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { AgentError } from '../api/errors.ts';

/** Hashes pieces in the order in which they are given. */
export type Hasher = {
  /** Resolves when the bytes are no longer read; the caller need not wait before it gives the next piece. */
  update: (bytes: Uint8Array) => Promise<void>;
  digest: () => Promise<string>;
  /** Ends it, also in the middle. */
  close: () => Promise<void>;
};

/** A thread costs some 30 ms and 8 MB; shorter files are hashed sooner without. */
const LEAST_BYTES_FOR_A_THREAD = 64 * 1024 ** 2;

/** Text and no file, because the agent is one bundled file. Bytes in shared memory are not copied on their way here. */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
const hash = require('node:crypto').createHash(workerData);
parentPort.on('message', (bytes) => {
  if (bytes === null) parentPort.postMessage(hash.digest('hex'));
  else { hash.update(bytes); parentPort.postMessage(null); }
});`;

function hashHere(algorithm: string): Hasher {
  const hash = createHash(algorithm);
  return {
    update: async (bytes) => void hash.update(bytes),
    digest: async () => hash.digest('hex'),
    close: async () => undefined,
  };
}

type Waiting = { resolve: (hex: string) => void; reject: (error: unknown) => void };

function hashInThread(algorithm: string): Hasher {
  const worker = new Worker(PROGRAM, { eval: true, workerData: algorithm, execArgv: [], env: {} });
  const waiting: Waiting[] = [];
  let failure: AgentError | undefined;
  const fail = (cause: unknown) => {
    failure ??= new AgentError('ImageWriteError', 'cannot hash the image: the thread that does it ended', { cause });
    for (const { reject } of waiting.splice(0)) reject(failure);
  };
  worker.on('message', (hex: string | null) => waiting.shift()?.resolve(hex ?? ''));
  worker.on('error', fail);
  worker.on('exit', fail);
  const ask = (message: Uint8Array | null) =>
    new Promise<string>((resolve, reject) => {
      if (failure) {
        reject(failure);
        return;
      }
      waiting.push({ resolve, reject });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      worker.postMessage(message);
    });
  return {
    update: async (bytes) => void (await ask(bytes)),
    digest: () => ask(null),
    close: async () => void (await worker.terminate()),
  };
}

/**
 * Hashing takes about as long as everything else that is done with an image, so that a long one is hashed in a thread of its own
 * where there is a second processor.
 * @param algorithm as `createHash` knows it
 * @param sizeBytes of the file, if known
 */
export function createHasher(
  algorithm: string,
  sizeBytes: number | undefined,
  processors: number = availableParallelism(),
): Hasher {
  const isWorthAThread = processors > 1 && (sizeBytes ?? Number.POSITIVE_INFINITY) >= LEAST_BYTES_FOR_A_THREAD;
  return isWorthAThread ? hashInThread(algorithm) : hashHere(algorithm);
}
