import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { createGunzip } from 'node:zlib';

import { alignedBuffer } from '../../system/aligned.ts';
import { Failure } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';

/** What comes out at once. There are two of them: one is read while the other is filled. */
const OUTPUT_BYTES = 1024 ** 2;

/**
 * Text and no file, because the agent is one bundled file. The handle below Node's stream is told where to put what comes out; the stream
 * itself makes a buffer for each piece, and drops what follows the first frame of zstd or a zero byte after a gzip member.
 */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
const { constants, createGunzip, createZstdDecompress } = require('node:zlib');
const isGzip = workerData === 'gzip';
const stream = isGzip ? createGunzip() : createZstdDecompress();
stream.on('error', () => undefined);
const onward = isGzip ? constants.Z_NO_FLUSH : constants.ZSTD_e_continue;
const last = isGzip ? constants.Z_FINISH : constants.ZSTD_e_end;
parentPort.on('message', ({ input, from, output, isEnd }) => {
  let [read, written] = [from, 0];
  for (;;) {
    stream._handle.writeSync(isEnd ? last : onward, input, read, input.length - read, output, written, output.length - written);
    const { errored } = stream;
    if (errored) return parentPort.postMessage({ error: errored.message, code: errored.code });
    const [room, left] = stream._writeState;
    const isStuck = room === output.length - written && left === input.length - read;
    [read, written] = [input.length - left, output.length - room];
    if (left > 0 && isStuck) return parentPort.postMessage({ error: 'it goes on after its end', code: 'UNPACK_TAIL' });
    if (room === 0 || left === 0) return parentPort.postMessage({ read, written });
  }
});`;

type Question = { input: Uint8Array; from: number; output: Uint8Array; isEnd: boolean };
type Answer = { read: number; written: number } | { error: string; code: string };

/** Whether this Node has what the thread goes by, and there is a processor for it. */
export function canUnpackInThread(processors: number = availableParallelism()): boolean {
  const stream = createGunzip();
  const handle = Reflect.get(stream, '_handle') as { writeSync?: unknown } | undefined;
  const hasHandle = typeof handle?.writeSync === 'function';
  stream.destroy();
  return hasHandle && processors > 1;
}

/** A thread that answers one question after the other. */
function startThread(compression: 'gzip' | 'zstd') {
  const worker = new Worker(PROGRAM, { eval: true, workerData: compression, execArgv: [], env: {} });
  let settle: { resolve: (answer: Answer) => void; reject: (error: unknown) => void } | undefined;
  let failure: AgentError | undefined;
  const fail = (cause: unknown) => {
    failure ??= new AgentError('ImageWriteError', 'cannot unpack the image: the thread that does it ended', { cause });
    settle?.reject(failure);
  };
  worker.on('message', (answer: Answer) => settle?.resolve(answer));
  worker.on('error', fail);
  worker.on('exit', fail);
  const ask = async (question: Question) => {
    const answer = await new Promise<Answer>((resolve, reject) => {
      settle = { resolve, reject };
      if (failure) reject(failure);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      else worker.postMessage(question);
    });
    if ('error' in answer) throw new Failure(answer.code, answer.error);
    return answer;
  };
  return { ask, close: () => worker.terminate() };
}

/**
 * gzip and zstd as `unpackGzip` and `unpackZstd`, in a thread of its own: all members and frames, one after the other.
 * @param chunks in shared memory, or they are copied; none is read any more when the next one is asked for
 * @returns pieces of up to a MiB, each valid until the next one is asked for
 */
export async function* unpackInThread(
  compression: 'gzip' | 'zstd',
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const thread = startThread(compression);
  const outputs = [alignedBuffer(OUTPUT_BYTES), alignedBuffer(OUTPUT_BYTES)] as const;
  let turn: 0 | 1 = 0;
  /** All that comes out of one chunk. The next piece is asked for before this one is handed on. */
  const all = async function* (chunk: Uint8Array, isEnd: boolean): AsyncGenerator<Uint8Array> {
    // Else all of the memory behind it would be copied, not these bytes alone.
    const input = chunk.buffer instanceof SharedArrayBuffer ? chunk : new Uint8Array(chunk);
    const ask = (from: number) => {
      turn = turn === 0 ? 1 : 0;
      return { output: outputs[turn], answer: thread.ask({ input, from, output: outputs[turn], isEnd }) };
    };
    for (let asked = ask(0); ;) {
      const { output } = asked;
      const { read, written } = await asked.answer;
      const isDone = read === input.length && written < output.length;
      if (!isDone) asked = ask(read);
      // Whoever stops reading here leaves this one alone.
      asked.answer.catch(() => undefined);
      if (written > 0) yield output.subarray(0, written);
      if (isDone) return;
    }
  };
  try {
    for await (const chunk of chunks) yield* all(chunk, false);
    yield* all(new Uint8Array(0), true);
  } finally {
    await thread.close();
  }
}
