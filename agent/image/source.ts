import { AgentError } from '../api/errors.ts';

/** Part of a file, bytes. */
export type SourceRange = { position: number; length: number };

/** The file is no longer the one that was begun with; the whole write may start again. */
export class ImageChanged extends Error {
  override readonly name = 'ImageChanged';
}

/** An image file somewhere else, opened: its server has answered, and `head` is here. */
export type ImageSource = {
  /** Without password and query, fit for messages. */
  name: string;
  /** Bytes of the whole file; undefined where the server does not say. */
  sizeBytes: number | undefined;
  /** The first bytes of the file: 64 KiB, or all of a shorter file. */
  head: Uint8Array;
  /**
   * The whole file, once, in order; broken connections are taken up again. A short body is an error. A chunk is valid until the next one
   * is asked for.
   */
  stream: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** Whether `read` asks for the ranges alone. Without it each call is one pass over the file up to its last range. */
  hasRanges?: boolean;
  /** The given ranges, each as one buffer. They ascend and do not overlap. */
  read: (ranges: readonly SourceRange[], signal: AbortSignal) => AsyncIterable<Uint8Array>;
};

/** A source that can be closed, and left in the middle for another of the same file. */
export type OpenSource = ImageSource & {
  /** As `stream`, from a position in the file on. */
  streamFrom: (position: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** What the server, or the address itself, says that the whole file hashes to. */
  sha256?: string | undefined;
  close: () => Promise<void>;
};

/**
 * A small file as a whole.
 * @throws AgentError `ImageDownloadError` when it is longer than `mostBytes`
 */
export async function readAll(
  source: Pick<ImageSource, 'name' | 'stream'>,
  mostBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of source.stream(signal)) {
    length += bytes.length;
    if (length > mostBytes)
      throw new AgentError('ImageDownloadError', `cannot use ${source.name}: it is longer than ${mostBytes} bytes`);
    parts.push(Buffer.from(bytes));
  }
  return Buffer.concat(parts);
}

export const HEAD_BYTES = 64 * 1024;

/** Ranges closer together than this are read as one: asking anew costs more than the bytes between. */
const GAP_BYTES = 256 * 1024;

export type RangeGroup = SourceRange & { ranges: SourceRange[] };

/** Puts ascending ranges together to few requests. */
export function groupRanges(ranges: readonly SourceRange[], gapBytes: number = GAP_BYTES): RangeGroup[] {
  const groups: RangeGroup[] = [];
  for (const range of ranges) {
    const last = groups.at(-1);
    if (last && range.position - (last.position + last.length) <= gapBytes) {
      last.length = range.position + range.length - last.position;
      last.ranges.push(range);
    } else groups.push({ ...range, ranges: [range] });
  }
  return groups;
}

/**
 * Picks ranges out of a stream of bytes and stops reading after the last one.
 * @param start position in the file of the stream's first byte
 */
export async function* pickRanges(
  chunks: AsyncIterable<Uint8Array>,
  start: number,
  ranges: readonly SourceRange[],
): AsyncGenerator<Buffer> {
  let index = 0;
  let filled = 0;
  let buffer: Buffer | undefined;
  let position = start;
  for await (const chunk of chunks) {
    for (let range = ranges[index]; range && range.position < position + chunk.length; range = ranges[index]) {
      buffer ??= Buffer.allocUnsafe(range.length);
      const from = range.position + filled - position;
      const part = chunk.subarray(from, Math.min(chunk.length, from + range.length - filled));
      buffer.set(part, filled);
      filled += part.length;
      if (filled < range.length) break;
      yield buffer;
      index++;
      filled = 0;
      buffer = undefined;
    }
    if (index === ranges.length) return;
    position += chunk.length;
  }
}
