import type { Filter } from '../../system/filter.ts';
import { type Compression, findCompression, unpack } from './compression.ts';
import { HEAD_BYTES, type ImageSource, pickRanges } from './source.ts';

/** Shorter files are unpacked sooner without a thread. */
const LEAST_BYTES_FOR_A_THREAD = 64 * 1024 ** 2;

/** What a file holds: itself, or what it unpacks to. */
export type ImageContents = Pick<ImageSource, 'name' | 'head' | 'sizeBytes' | 'read'> & {
  compression: Compression | undefined;
  /** Makes contents of the bytes of the whole file. */
  unpack: (chunks: AsyncIterable<Uint8Array>, signal: AbortSignal) => AsyncIterable<Uint8Array>;
};

async function readHead(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of chunks) {
    parts.push(Buffer.from(bytes));
    length += bytes.length;
    if (length >= HEAD_BYTES) break;
  }
  return Buffer.concat(parts).subarray(0, HEAD_BYTES);
}

/**
 * Looks into a file. Where it is compressed its beginning is read once more and unpacked; nobody knows how long the contents are, and
 * ranges of them take a pass over the file up to the last of them.
 * @param options.mostBytes that contents may have
 * @throws AgentError `InvalidImage` when it cannot be unpacked; what the source throws
 */
export async function openContents(
  source: ImageSource,
  options: { filter: Filter; mostBytes: number },
  signal: AbortSignal,
): Promise<ImageContents> {
  const compression = findCompression(source.head);
  if (!compression) return { ...source, compression, unpack: (chunks) => chunks };
  const unpacked = (chunks: AsyncIterable<Uint8Array>, signal: AbortSignal, isLong = false) =>
    unpack(compression, chunks, { ...options, isLong }, signal);
  const isLong = (source.sizeBytes ?? Number.POSITIVE_INFINITY) >= LEAST_BYTES_FOR_A_THREAD;
  return {
    name: source.name,
    compression,
    sizeBytes: undefined,
    head: await readHead(unpacked(source.stream(signal), signal)),
    read: (ranges, signal) => pickRanges(unpacked(source.stream(signal), signal), 0, ranges),
    unpack: (chunks, signal) => unpacked(chunks, signal, isLong),
  };
}
