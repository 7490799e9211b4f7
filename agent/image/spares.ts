import { AgentError } from '../api/errors.ts';
import type { OpenedImage } from './open.ts';
import type { SourceRange } from './source.ts';

/** Opens the next source of the same image, or undefined when there is none left. */
type OpenNext = () => Promise<OpenedImage | undefined>;

/**
 * Whether two sources are the same file for certain: both say the same SHA-256 of all of it. Names, sizes, times and ETags of two
 * servers prove nothing (RFC 9110 8.8.3: an ETag is that of one resource).
 */
function isSameFile(a: OpenedImage, b: OpenedImage): boolean {
  const isSameSize = a.sizeBytes === undefined || b.sizeBytes === undefined || a.sizeBytes === b.sizeBytes;
  return a.sha256 !== undefined && a.sha256 === b.sha256 && isSameSize;
}

/**
 * A source that goes on with the next one, at the same byte, when it breaks off for good and the next is the same file for certain.
 * Otherwise it ends with its own error, and whoever reads starts anew.
 * @param say told why it goes on elsewhere
 */
export function withSpares(first: OpenedImage, openNext: OpenNext, say: (why: string) => void): OpenedImage {
  const opened = [first];
  let current = first;

  /** Makes the next source the current one, or throws why the last one ended. */
  const goOn = async (error: unknown, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    if (!(error instanceof AgentError) || error.type !== 'ImageDownloadError') throw error;
    for (let next = await openNext(); next; next = await openNext()) {
      opened.push(next);
      if (!isSameFile(current, next)) continue;
      say(error.details);
      current = next;
      return;
    }
    throw error;
  };
  async function* streamFrom(start: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let position = start;
    for (;;) {
      try {
        for await (const bytes of position === 0 ? current.stream(signal) : current.streamFrom(position, signal)) {
          position += bytes.length;
          yield bytes;
        }
        return;
      } catch (error) {
        await goOn(error, signal);
      }
    }
  }
  async function* read(ranges: readonly SourceRange[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let done = 0;
    while (done < ranges.length) {
      try {
        for await (const part of current.read(ranges.slice(done), signal)) {
          done++;
          yield part;
        }
        return;
      } catch (error) {
        await goOn(error, signal);
      }
    }
  }
  return {
    ...first,
    streamFrom,
    stream: (signal) => streamFrom(0, signal),
    read,
    close: async () => {
      for (const source of opened) await source.close();
    },
  };
}
