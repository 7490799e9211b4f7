import { AgentError } from '../api/errors.ts';
import type { Clock } from '../os/door.ts';
import {
  bodyFailure,
  createHttpClient,
  type HttpAnswer,
  type HttpClient,
  HttpFailure,
  type HttpOptions,
} from './http-request.ts';
import { groupRanges, HEAD_BYTES, ImageChanged, type ImageSource, pickRanges } from './source.ts';

/** Something came: the next failure is the first again. Less than this is a server that gives a few bytes and breaks. */
const PROGRESS_BYTES = 64 * 1024;

type Identity = Pick<HttpAnswer, 'etag' | 'lastModified' | 'sizeBytes'>;
type Link = { client: HttpClient; options: HttpOptions; clock: Clock; identity: Identity | undefined };

function differs<T>(before: T | undefined, now: T | undefined): boolean {
  return before !== undefined && now !== undefined && before !== now;
}

function checkIdentity(link: Link, answer: HttpAnswer): void {
  const before = link.identity;
  if (!before) {
    link.identity = { etag: answer.etag, lastModified: answer.lastModified, sizeBytes: answer.sizeBytes };
    return;
  }
  for (const key of ['etag', 'lastModified', 'sizeBytes'] as const)
    if (differs<string | number>(before[key], answer[key]))
      throw new ImageChanged(
        `${link.client.name} changed while it was read (${key} was ${before[key]}, is ${answer[key]})`,
      );
}

function rangeHeaders(link: Link, from: number, to: number | undefined): Record<string, string> {
  if (from === 0 && to === undefined) return {};
  const { etag, lastModified } = link.identity ?? {};
  // RFC 9110 13.1.5: only a strong validator may stand in If-Range.
  const validator = etag !== undefined && !etag.startsWith('W/') ? etag : lastModified;
  return {
    range: `bytes=${from}-${to === undefined ? '' : to - 1}`,
    ...(validator !== undefined && { 'if-range': validator }),
  };
}

async function get(link: Link, from: number, to: number | undefined, signal: AbortSignal): Promise<HttpAnswer> {
  const answer = await link.client.get(rangeHeaders(link, from, to), signal);
  try {
    checkIdentity(link, answer);
    if (answer.isPartial && answer.start !== from)
      throw new HttpFailure(`it was asked for byte ${from} and answered from byte ${answer.start}`, false);
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
  return answer;
}

/** Bytes of an answer from `from` on: a server that ignores Range sends those before it once more. */
async function* wantedBytes(answer: HttpAnswer, from: number, to: number | undefined): AsyncGenerator<Uint8Array> {
  let position = answer.start;
  for await (const chunk of answer.body) {
    const bytes = chunk.subarray(Math.max(0, from - position), to === undefined ? undefined : to - position);
    position += chunk.length;
    if (bytes.length > 0 && position > from) yield bytes;
    // A partial answer ends here by itself, and its connection can be used again.
    if (to !== undefined && position >= to && !answer.isPartial) return;
  }
}

function gaveUp(link: Link, failure: HttpFailure, tries: number): AgentError {
  const how = tries > 1 ? `, ${tries} times` : '';
  return new AgentError('ImageDownloadError', `cannot download ${link.client.name}: ${failure.message}${how}`, {
    cause: failure,
  });
}

/** Bytes `from` to `to` of the file, over as many connections as it takes. */
async function* resilientStream(
  link: Link,
  from: number,
  to: number | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let position = from;
  let lastProgress = from;
  let failures = 0;
  for (;;) {
    try {
      const answer = await get(link, position, to, signal);
      const end = to ?? link.identity?.sizeBytes;
      for await (const bytes of wantedBytes(answer, position, to)) {
        position += bytes.length;
        yield bytes;
      }
      if (end === undefined || position === end) return;
      throw new HttpFailure(`the connection ended at byte ${position} of ${end}`, true);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ImageChanged) throw error;
      const failure = bodyFailure(error);
      failures = position - lastProgress >= PROGRESS_BYTES ? 1 : failures + 1;
      lastProgress = position;
      if (!failure.isTransient || failures > link.options.retries) throw gaveUp(link, failure, failures);
      await link.clock.sleep(link.options.retryIntervalMs, signal);
    }
  }
}

async function readHead(link: Link, signal: AbortSignal): Promise<{ head: Buffer; hasRanges: boolean }> {
  for (let failures = 1; ; failures++) {
    try {
      const answer = await get(link, 0, HEAD_BYTES, signal);
      const parts: Uint8Array[] = [];
      for await (const bytes of wantedBytes(answer, 0, HEAD_BYTES)) parts.push(bytes);
      const head = Buffer.concat(parts);
      const expected = Math.min(HEAD_BYTES, answer.sizeBytes ?? 0);
      if (head.length < expected) throw new HttpFailure(`the connection ended at byte ${head.length}`, true);
      return { head, hasRanges: answer.isPartial };
    } catch (error) {
      signal.throwIfAborted();
      const failure = bodyFailure(error);
      if (!failure.isTransient || failures > link.options.retries) throw gaveUp(link, failure, failures);
      await link.clock.sleep(link.options.retryIntervalMs, signal);
    }
  }
}

/**
 * Opens an image on a web server and reads its first bytes.
 * @returns the source, and `close` to call when it is no longer needed
 * @throws AgentError `ImageDownloadError` at once for a 4xx answer, after the last try for anything else
 */
export async function openHttpSource(
  url: string,
  options: HttpOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<ImageSource & { close: () => Promise<void> }> {
  const client = createHttpClient(url, options);
  const link: Link = { client, options, clock, identity: undefined };
  try {
    const { head, hasRanges } = await readHead(link, signal);
    return {
      name: client.name,
      sizeBytes: link.identity?.sizeBytes,
      head,
      hasRanges,
      stream: (signal) => resilientStream(link, 0, undefined, signal),
      read: async function* (ranges, signal) {
        // Without Range there is one group: a pass over the file that is left after its last range.
        for (const group of groupRanges(ranges, hasRanges ? undefined : Number.POSITIVE_INFINITY)) {
          const start = hasRanges ? group.position : 0;
          const bytes = resilientStream(link, start, group.position + group.length, signal);
          yield* pickRanges(bytes, start, group.ranges);
        }
      },
      close: () => client.close(),
    };
  } catch (error) {
    await client.close();
    throw error;
  }
}
