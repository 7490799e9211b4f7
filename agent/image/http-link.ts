import { AgentError } from '../api/errors.ts';
import type { Clock } from '../os/door.ts';
import { type HttpAnswer, retryAfterMs } from './http-answer.ts';
import { explainFailure, HttpFailure } from './http-failure.ts';
import type { HttpClient, HttpOptions } from './http-request.ts';
import { ImageChanged } from './source.ts';

/** A server that wants to be left alone for longer than this is given up. */
const LONGEST_WAIT_MS = 5 * 60_000;

type Identity = Pick<HttpAnswer, 'etag' | 'lastModified' | 'sizeBytes' | 'sha256'>;

/** One file on one server, over all requests for it. */
export type Link = {
  client: HttpClient;
  options: HttpOptions;
  clock: Clock;
  identity: Identity | undefined;
  /** The server answers parts; else every answer is the whole file, and what comes before the part is thrown away. */
  hasRanges: boolean;
  /** The answer that the head came from, where it was the whole file: the stream goes on with it. */
  begun: Begun | undefined;
};

/** A whole answer of which the first chunks were taken. */
export type Begun = { answer: HttpAnswer; chunks: Uint8Array[]; rest: AsyncIterator<Uint8Array> };

function differs<T>(before: T | undefined, now: T | undefined): boolean {
  return before !== undefined && now !== undefined && before !== now;
}

function checkIdentity(link: Link, answer: HttpAnswer): void {
  const before = link.identity;
  for (const key of ['etag', 'lastModified', 'sizeBytes'] as const)
    if (differs<string | number>(before?.[key], answer[key]))
      throw new ImageChanged(
        `${link.client.name} changed while it was read (${key} was ${before?.[key]}, is ${answer[key]})`,
      );
  link.identity = {
    etag: before?.etag ?? answer.etag,
    lastModified: before?.lastModified ?? answer.lastModified,
    sizeBytes: before?.sizeBytes ?? answer.sizeBytes,
    sha256: before?.sha256 ?? answer.sha256,
  };
}

function rangeHeaders(link: Link, from: number, to: number | undefined): Record<string, string> {
  if (!link.hasRanges || (from === 0 && to === undefined)) return {};
  const { etag, lastModified } = link.identity ?? {};
  // RFC 9110 13.1.5: only a strong validator may stand in If-Range.
  const validator = etag !== undefined && !etag.startsWith('W/') ? etag : lastModified;
  return {
    range: `bytes=${from}-${to === undefined ? '' : to - 1}`,
    ...(validator !== undefined && { 'if-range': validator }),
  };
}

async function getOnce(link: Link, from: number, to: number | undefined, signal: AbortSignal): Promise<HttpAnswer> {
  const answer = await link.client.get(rangeHeaders(link, from, to), signal);
  try {
    checkIdentity(link, answer);
    if (answer.isPartial && answer.start !== from)
      throw new HttpFailure(`it was asked for byte ${from} and answered from byte ${answer.start}`, false, {
        refusesRange: true,
      });
    return answer;
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
}

/** nginx behind a cache refuses ranges of files that it has (416), and some proxies answer with other ones: then all is asked for. */
export async function get(link: Link, from: number, to: number | undefined, signal: AbortSignal): Promise<HttpAnswer> {
  try {
    return await getOnce(link, from, to, signal);
  } catch (error) {
    if (!(error instanceof HttpFailure) || !error.refusesRange || !link.hasRanges) throw error;
    link.hasRanges = false;
    return getOnce(link, from, to, signal);
  }
}

function gaveUp(link: Link, failure: HttpFailure, tries: number): AgentError {
  const how = tries > 1 ? `, ${tries} times` : '';
  return new AgentError('ImageDownloadError', `cannot download ${link.client.name}: ${failure.message}${how}`, {
    cause: failure,
  });
}

/**
 * Waits before the next try, or throws what ends them.
 * @param failures how many there were without progress between them
 */
export async function waitOrGiveUp(link: Link, error: unknown, failures: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (error instanceof ImageChanged) throw error;
  const { options, clock } = link;
  const failure = explainFailure(error);
  const wait = Math.max(options.retryIntervalMs, retryAfterMs(failure.retryAfter, clock.now()));
  if (!failure.isTransient || failures > options.retries || wait > LONGEST_WAIT_MS)
    throw gaveUp(link, failure, failures);
  await clock.sleep(wait, signal);
}
