import { type ImageSource, HEAD_BYTES, pickRanges } from '../../agent/image/source.ts';

/** An image file that is in memory, for tests of what comes after the source. */
export function memorySource(content: Buffer, chunkBytes = 64 * 1024): ImageSource {
  const stream = async function* (signal: AbortSignal) {
    for (let at = 0; at < content.length; at += chunkBytes) {
      signal.throwIfAborted();
      yield content.subarray(at, at + chunkBytes);
    }
  };
  return {
    name: 'an image in memory',
    sizeBytes: content.length,
    head: content.subarray(0, HEAD_BYTES),
    stream,
    read: (ranges, signal) => pickRanges(stream(signal), 0, ranges),
  };
}
