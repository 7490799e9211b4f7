import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';

import { Failure } from '../../system/failure.ts';

/**
 * Pieces of this size come out. Each costs a way to Node's pool and back: with 64 KiB zstd takes twice the processor time. Larger ones are
 * hardly quicker, and live until the garbage is collected.
 */
const PIECE_BYTES = 512 * 1024;

type Engine = {
  /** Everything that comes out of these bytes. @returns how many of them were not taken, because a stream ended before */
  take: (bytes: Uint8Array) => AsyncGenerator<Uint8Array, number>;
  /** What is left, when nothing more comes. */
  end: () => AsyncGenerator<Uint8Array, void>;
  close: () => void;
};

/**
 * Drives one of Node's decompressors piece by piece, which its streams do not: they drop what follows the first frame of zstd or a
 * zero byte after a gzip member, and say nothing.
 */
function createEngine(stream: Gunzip | ZstdDecompress): Engine {
  let wake = () => undefined as void;
  let failure: { error: unknown } | undefined;
  let hasEnded = false;
  stream.on('readable', () => wake());
  stream.on('end', () => {
    hasEnded = true;
    wake();
  });
  stream.on('error', (error) => {
    failure = { error };
    wake();
  });
  const drain = async function* (isDone: () => boolean): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      if (failure) throw failure.error;
      const bytes = stream.read() as Buffer | null;
      if (bytes !== null) yield bytes;
      else if (isDone()) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  };
  return {
    take: async function* (bytes) {
      const before = stream.bytesWritten;
      let isTaken = false;
      stream.write(bytes, () => {
        isTaken = true;
        wake();
      });
      yield* drain(() => isTaken);
      return bytes.length - (stream.bytesWritten - before);
    },
    end: () => {
      stream.end();
      return drain(() => hasEnded);
    },
    close: () => void stream.destroy(),
  };
}

/** RFC 1952 2.2: members follow each other; Node goes on with the next one by itself, and leaves what begins with a zero byte. */
export async function* unpackGzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const engine = createEngine(createGunzip({ chunkSize: PIECE_BYTES }));
  try {
    for await (const chunk of chunks)
      if ((yield* engine.take(chunk)) > 0) throw new Failure('UNPACK_TAIL', 'it goes on after its end');
    yield* engine.end();
  } finally {
    engine.close();
  }
}

/** RFC 8878 3: frames, also those that are to be skipped, follow each other. */
export async function* unpackZstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const start = () => createEngine(createZstdDecompress({ chunkSize: PIECE_BYTES }));
  let engine = start();
  try {
    for await (const chunk of chunks)
      for (let rest = chunk; rest.length > 0;) {
        const left = yield* engine.take(rest);
        if (left === 0) break;
        if (left === rest.length) throw new Failure('UNPACK_TAIL', 'it goes on after its end');
        rest = rest.subarray(rest.length - left);
        engine.close();
        engine = start();
      }
    yield* engine.end();
  } finally {
    engine.close();
  }
}
