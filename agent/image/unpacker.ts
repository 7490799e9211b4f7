import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

import { leaveBehind } from '../../system/collect.ts';
import { AgentError } from '../api/errors.ts';
import { decompressCluster, wrongCluster, zstdFrameBytes } from './qcow2-cluster.ts';

export type ClusterCompression = 'zlib' | 'zstd';

/** A piece of a qcow2 file: a compressed cluster, or bytes of the guest as they are. */
export type Packed = { bytes: Uint8Array; isCompressed: boolean };

/** Unpacks clusters, several batches side by side. */
export type Unpacker = {
  /**
   * Puts what the pieces hold into `output`, one after the other; a compressed one makes exactly one cluster.
   * @returns when the pieces are no longer read and all of the output is there
   * @throws AgentError `InvalidImage` when one is damaged or unpacks to another length
   */
  unpack: (pieces: readonly Packed[], output: Buffer) => Promise<void>;
  /** Ends it, also in the middle. */
  close: () => Promise<void>;
};

/** Threads cost some 30 ms and 6 MB each; shorter files are written sooner without. */
const LEAST_BYTES_FOR_THREADS = 64 * 1024 ** 2;
const MOST_THREADS = 4;

/**
 * Text and no file, because the agent is one bundled file. Bytes in shared memory are not copied on their way here.
 *
 * One decompressor is used for all clusters, by the handle below Node's stream: a call of `inflateRawSync` leaves a stream and two buffers
 * to be collected, for 64 KiB of data, and two threads had 80 MB of them. The handle is nobody's promise, so it is tried first.
 */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads');
const zlib = require('node:zlib');
const { compression, clusterBytes } = workerData;
const isZlib = compression === 'zlib';
const flush = isZlib ? zlib.constants.Z_FINISH : zlib.constants.ZSTD_e_end;
const room = Buffer.allocUnsafeSlow(clusterBytes + 1);
let stream;
function unpackByHandle(bytes) {
  if (stream) stream.reset();
  else {
    stream = isZlib ? zlib.createInflateRaw() : zlib.createZstdDecompress();
    stream.on('error', () => undefined);
  }
  stream._handle.writeSync(flush, bytes, 0, bytes.length, room, 0, room.length);
  const { errored } = stream;
  if (errored) stream = undefined;
  if (errored) throw errored;
  return room.subarray(0, room.length - stream._writeState[0]);
}
const options = { maxOutputLength: clusterBytes, chunkSize: Math.max(64, clusterBytes + 1) };
const unpackByCall = (bytes) => (isZlib ? zlib.inflateRawSync : zlib.zstdDecompressSync)(bytes, options);
function doesHandleWork() {
  const sample = Buffer.from('ingot '.repeat(20));
  const packed = (isZlib ? zlib.deflateRawSync : zlib.zstdCompressSync)(sample);
  try {
    return [1, 2].every(() => unpackByHandle(packed).equals(sample));
  } catch {
    return false;
  }
}
const unpack = doesHandleWork() ? unpackByHandle : unpackByCall;
// As system/aligned.ts does it, and for the same reason.
function copy(bytes, output, at) {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const half = bytes.length >> 1;
  all.copy(output, at, 0, half);
  all.copy(output, at + half, half, bytes.length);
}
parentPort.on('message', ({ pieces, output }) => {
  let at = 0;
  let bytes = output;
  try {
    for (const piece of pieces) {
      bytes = piece.isCompressed ? unpack(piece.bytes) : piece.bytes;
      if (piece.isCompressed && bytes.length !== clusterBytes) break;
      copy(bytes, output, at);
      at += bytes.length;
    }
    parentPort.postMessage(at === output.length ? {} : { length: bytes.length });
  } catch (error) {
    parentPort.postMessage({ error: error.message });
  }
});`;

/** What one thread answers: a reason, the length of the cluster that is none, or nothing. */
type Answer = { error?: string; length?: number };
type Waiting = { resolve: (answer: Answer) => void; reject: (error: unknown) => void };
type Thread = { worker: Worker; waiting: Waiting[] };

/** In Node's pool, one after the other. */
function unpackHere(compression: ClusterCompression, clusterBytes: number): Unpacker {
  return {
    unpack: async (pieces, output) => {
      let at = 0;
      for (const { bytes, isCompressed } of pieces) {
        const plain = isCompressed ? await decompressCluster(compression, bytes, clusterBytes) : bytes;
        output.set(plain, at);
        at += plain.length;
        if (isCompressed) leaveBehind(bytes.length + plain.length);
      }
    },
    close: async () => undefined,
  };
}

function unpackInThreads(compression: ClusterCompression, clusterBytes: number, count: number): Unpacker {
  const threads: Thread[] = [];
  let failure: AgentError | undefined;
  const fail = (cause: unknown) => {
    failure ??= new AgentError('ImageWriteError', 'cannot unpack the image: the thread that does it ended', { cause });
    for (const { waiting } of threads) for (const { reject } of waiting.splice(0)) reject(failure);
  };
  const start = (): Thread => {
    const workerData = { compression, clusterBytes };
    const worker = new Worker(PROGRAM, {
      eval: true,
      workerData,
      execArgv: [],
      env: {},
    });
    const thread: Thread = { worker, waiting: [] };
    worker.on('message', (answer: Answer) => thread.waiting.shift()?.resolve(answer));
    worker.on('error', fail);
    worker.on('exit', fail);
    threads.push(thread);
    return thread;
  };
  /** The one with the least to do; a new one as long as all have something. */
  const choose = (): Thread => {
    const [idlest] = threads.toSorted((a, b) => a.waiting.length - b.waiting.length);
    if (idlest && (idlest.waiting.length === 0 || threads.length === count)) return idlest;
    return start();
  };
  return {
    unpack: async (pieces, output) => {
      if (failure) throw failure;
      const whole = pieces.map(({ bytes, isCompressed }) => ({
        bytes: isCompressed && compression === 'zstd' ? bytes.subarray(0, zstdFrameBytes(bytes)) : bytes,
        isCompressed,
      }));
      const { worker, waiting } = choose();
      const answer = await new Promise<Answer>((resolve, reject) => {
        waiting.push({ resolve, reject });
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
        worker.postMessage({ pieces: whole, output });
      });
      if (answer.error !== undefined || answer.length !== undefined)
        throw wrongCluster(answer.error ?? answer.length ?? 0, clusterBytes);
    },
    close: async () => {
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}

/**
 * Inflating costs more than all else that is done with an image; of a long one it is done in threads of its own, by batches.
 * @param fileBytes of the image's file, if known
 */
export function createUnpacker(
  compression: ClusterCompression,
  clusterBytes: number,
  fileBytes: number | undefined,
  processors: number = availableParallelism(),
): Unpacker {
  const isWorthThreads = processors > 1 && (fileBytes ?? Number.POSITIVE_INFINITY) >= LEAST_BYTES_FOR_THREADS;
  return isWorthThreads
    ? unpackInThreads(compression, clusterBytes, Math.min(processors, MOST_THREADS))
    : unpackHere(compression, clusterBytes);
}
