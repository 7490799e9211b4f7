import { leaveBehind } from '../../system/collect.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import type { Filter } from '../../system/filter.ts';
import { AgentError } from '../api/errors.ts';
import { BZIP2_TAIL, checkTail, XZ_TAIL } from './compression-tail.ts';
import { canUnpackInThread, unpackInThread } from './unpack-thread.ts';
import { unpackGzip, unpackZstd } from './unpack-zlib.ts';

type Chunks = AsyncIterable<Uint8Array>;
/** Whoever asks for the next piece no longer reads the one before: their buffers go round. */
type Unpack = (chunks: Chunks, options: UnpackOptions, signal: AbortSignal) => AsyncGenerator<Uint8Array>;
type UnpackOptions = {
  filter: Filter;
  /** A small file can unpack to more than any disk holds. */
  mostBytes: number;
  /** Worth a thread, which costs some 30 ms and 6 MB. */
  isLong?: boolean;
};

/** Each piece is garbage when the next one comes. */
async function* left(chunks: Chunks): AsyncGenerator<Uint8Array> {
  for await (const bytes of chunks) {
    yield bytes;
    leaveBehind(bytes.length);
  }
}

/** Names of xz and bzip2 that both their own packages and busybox have. */
const byProgram =
  (program: string, tail: typeof XZ_TAIL): Unpack =>
  (chunks, { filter }, signal) =>
    left(filter(program, ['-c'], checkTail(chunks, tail), signal));

const byNode =
  (compression: 'gzip' | 'zstd', unpackHere: (chunks: Chunks) => AsyncGenerator<Uint8Array>): Unpack =>
  (chunks, { isLong }) =>
    isLong && canUnpackInThread() ? unpackInThread(compression, chunks) : left(unpackHere(chunks));

/**
 * What may be around an image, by the first bytes in hexadecimal (RFC 1952, RFC 8878 3.1.1 and 3.1.2, the xz file format 2.1.1, bzip2's own).
 * A zstd file may begin with a frame that is to be skipped (as pzstd's do).
 */
const COMPRESSIONS = {
  gzip: { begin: /^1f8b08/, unpack: byNode('gzip', unpackGzip) },
  zstd: { begin: /^(?:28b52ffd|5.2a4d18)/, unpack: byNode('zstd', unpackZstd) },
  xz: { begin: /^fd377a585a00/, unpack: byProgram('unxz', XZ_TAIL) },
  bzip2: { begin: /^425a683[1-9]314159265359/, unpack: byProgram('bunzip2', BZIP2_TAIL) },
} as const satisfies Record<string, { begin: RegExp; unpack: Unpack }>;
export type Compression = keyof typeof COMPRESSIONS;

export function findCompression(head: Uint8Array): Compression | undefined {
  const begin = Buffer.from(head.subarray(0, 16)).toString('hex');
  return (Object.keys(COMPRESSIONS) as Compression[]).find((name) => COMPRESSIONS[name].begin.test(begin));
}

function refuse(compression: Compression, error: unknown): AgentError {
  const isMissing = error instanceof Failure && error.message.includes('ENOENT');
  const hint = isMissing ? 'install the program, or unpack the image' : `look at the file with "${compression} -t"`;
  return new AgentError('InvalidImage', `cannot unpack the image (${compression}): ${reasonOf(error)}; ${hint}`, {
    cause: error,
  });
}

/** Errors of zlib have codes of their own; whatever else comes out of the stage is the source's and stays as it is. */
function isOurs(error: unknown): boolean {
  if (error instanceof Failure) return true;
  return /^(?:Z_|ZSTD_)/.test((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/**
 * What a compressed file unpacks to, as it comes. When the next piece of the file is asked for, the one before is no longer read. All streams, members and frames of the file count, one after the other.
 * @throws AgentError `InvalidImage` when it is damaged, ends too early, goes on after its end, or is too much
 */
export async function* unpack(
  compression: Compression,
  chunks: Chunks,
  options: UnpackOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  try {
    for await (const bytes of COMPRESSIONS[compression].unpack(chunks, options, signal)) {
      done += bytes.length;
      if (done > options.mostBytes)
        throw new AgentError(
          'InvalidImage',
          `cannot unpack the image (${compression}): more than ${options.mostBytes} bytes come out of it, which the disk has no room for`,
        );
      yield bytes;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw isOurs(error) ? refuse(compression, error) : error;
  }
}
