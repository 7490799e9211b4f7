import type { Clock } from '../os/door.ts';
import type { HttpAnswer } from './http-answer.ts';
import { HttpFailure } from './http-failure.ts';
import { type Begun, get, type Link, waitOrGiveUp } from './http-link.ts';
import { createHttpClient, type HttpOptions } from './http-request.ts';
import { groupRanges, HEAD_BYTES, type OpenSource, pickRanges } from './source.ts';

/** Something came: the next failure is the first again. Less than this is a server that gives a few bytes and breaks. */
const PROGRESS_BYTES = 64 * 1024;
/** Bytes of an answer from `from` on: a server that ignores Range sends those before it once more. */
async function* wantedBytes(
  answer: Pick<HttpAnswer, 'start' | 'isPartial' | 'body'>,
  from: number,
  to: number | undefined,
): AsyncGenerator<Uint8Array> {
  let position = answer.start;
  for await (const chunk of answer.body) {
    const bytes = chunk.subarray(Math.max(0, from - position), to === undefined ? undefined : to - position);
    position += chunk.length;
    if (bytes.length > 0 && position > from) yield bytes;
    // A partial answer ends here by itself, and its connection can be used again.
    if (to !== undefined && position >= to && !answer.isPartial) return;
  }
}

async function* allOf({ chunks, rest, answer }: Begun): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    answer.body.destroy();
  }
}

/** Takes what `readHead` has begun, if the bytes from the start on are wanted. */
function takeBegun(link: Link, from: number): HttpAnswer | undefined {
  const { begun } = link;
  link.begun = undefined;
  if (from === 0 && begun) return { ...begun.answer, body: Object.assign(allOf(begun), { destroy: () => undefined }) };
  begun?.answer.body.destroy();
  return undefined;
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
  let begun = takeBegun(link, from);
  for (;;) {
    try {
      const answer = begun ?? (await get(link, position, to, signal));
      begun = undefined;
      const end = to ?? link.identity?.sizeBytes;
      const before = position;
      for await (const bytes of wantedBytes(answer, position, to)) {
        position += bytes.length;
        if (end !== undefined && position > end)
          throw new HttpFailure(`it sends more than the ${end} bytes that it told of`, false);
        yield bytes;
      }
      if (end === undefined || position === end) return;
      // Some servers give less at a time than they are asked for, and say so.
      if (answer.isPartial && position === answer.end && position > before) continue;
      throw new HttpFailure(`the connection ended at byte ${position} of ${end}`, true);
    } catch (error) {
      failures = position - lastProgress >= PROGRESS_BYTES ? 1 : failures + 1;
      lastProgress = position;
      await waitOrGiveUp(link, error, failures, signal);
    }
  }
}

async function readHeadOnce(link: Link, signal: AbortSignal): Promise<Buffer | undefined> {
  const answer = await get(link, 0, HEAD_BYTES, signal);
  if (answer.isPartial && answer.sizeBytes === undefined) {
    answer.body.destroy();
    if (!link.hasRanges) throw new HttpFailure('it answers a request for the whole file with a part of it', false);
    // "bytes 0-65535/*": an answer with the whole file says how long it is.
    link.hasRanges = false;
    return undefined;
  }
  const rest = answer.body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  const expected = Math.min(HEAD_BYTES, answer.sizeBytes ?? HEAD_BYTES);
  let length = 0;
  while (length < expected) {
    const next = await rest.next();
    if (next.done) break;
    chunks.push(Buffer.from(next.value));
    length += next.value.length;
  }
  if (answer.sizeBytes !== undefined && length < expected)
    throw new HttpFailure(`the connection ended at byte ${length}`, true);
  link.hasRanges = answer.isPartial;
  if (!answer.isPartial) link.begun = { answer, chunks, rest };
  return Buffer.concat(chunks).subarray(0, HEAD_BYTES);
}

async function readHead(link: Link, signal: AbortSignal): Promise<Buffer> {
  for (let failures = 0; ;) {
    try {
      const head = await readHeadOnce(link, signal);
      if (head) return head;
    } catch (error) {
      failures++;
      await waitOrGiveUp(link, error, failures, signal);
    }
  }
}

/** A file that is all in its head needs no further request. */
async function* streamOf(link: Link, head: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (link.identity?.sizeBytes === head.length) yield head;
  else yield* resilientStream(link, 0, undefined, signal);
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
): Promise<OpenSource> {
  const client = createHttpClient(url, options);
  const link: Link = { client, options, clock, identity: undefined, hasRanges: true, begun: undefined };
  try {
    const head = await readHead(link, signal);
    const { hasRanges } = link;
    return {
      name: client.name,
      sizeBytes: link.identity?.sizeBytes,
      head,
      hasRanges,
      sha256: link.identity?.sha256,
      stream: (signal) => streamOf(link, head, signal),
      streamFrom: (position, signal) => resilientStream(link, position, undefined, signal),
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
