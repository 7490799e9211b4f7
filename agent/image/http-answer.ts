import type { Dispatcher } from 'undici';

import { HttpFailure, statusFailure } from './http-failure.ts';

/** One answer with a body: status 200 or 206. */
export type HttpAnswer = {
  /** Positions in the file of the body's first byte, and after its last; undefined where nobody says. */
  start: number;
  end: number | undefined;
  isPartial: boolean;
  /** Bytes of the whole file. */
  sizeBytes: number | undefined;
  etag: string | undefined;
  lastModified: string | undefined;
  /** SHA-256 of the whole file, hexadecimal, where the server says it. */
  sha256: string | undefined;
  body: AsyncIterable<Uint8Array> & { destroy: () => unknown };
};

export type Headers = Dispatcher.ResponseData['headers'];

export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Servers that take the compression of a file for a coding of the answer, by the ends of names (Apache's AddEncoding). */
const OWN_COMPRESSION: ReadonlyMap<string, RegExp> = new Map([
  ['gzip', /\.t?gz$/i],
  ['x-gzip', /\.t?gz$/i],
  ['bzip2', /\.t?bz2?$/i],
  ['x-bzip2', /\.t?bz2?$/i],
  ['xz', /\.t?xz$/i],
  ['x-xz', /\.t?xz$/i],
  ['zstd', /\.t?zst$/i],
]);

function checkEncoding(headers: Headers, path: string): void {
  const encoding = headerOf(headers, 'content-encoding')?.trim().toLowerCase();
  if (encoding === undefined || encoding === '' || encoding === 'identity') return;
  if (OWN_COMPRESSION.get(encoding)?.test(path)) return;
  throw new HttpFailure(
    `it answered with Content-Encoding ${encoding}, although the bytes as they are were asked for; switch compression off for images`,
    false,
  );
}

/** RFC 9110 14.4, and that it agrees with itself and the length of the body. */
function readContentRange(headers: Headers): { start: number; end: number; sizeBytes: number | undefined } {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(headerOf(headers, 'content-range') ?? '');
  const [start, end] = [Number(match?.[1]), Number(match?.[2]) + 1];
  const sizeBytes = wholeNumber(match?.[3]);
  const length = wholeNumber(headerOf(headers, 'content-length')) ?? end - start;
  if (!match || start >= end || end > (sizeBytes ?? end) || length !== end - start)
    throw new HttpFailure('it answered 206 without a Content-Range that makes sense', false, { refusesRange: true });
  return { start, end, sizeBytes };
}

/**
 * Headers that say the SHA-256 of the whole file, whatever part of it is sent. Content-Digest is that of the part, and Digest (RFC 3230)
 * is so often enough.
 */
const DIGEST_HEADERS: readonly (readonly [name: string, form: RegExp, encoding: 'base64' | 'hex'])[] = [
  ['repr-digest', /(?:^|,)\s*sha-256=:([a-z0-9+/]{43}=):/i, 'base64'], // RFC 9530
  ['x-checksum-sha256', /^([0-9a-f]{64})$/i, 'hex'], // Artifactory
  ['docker-content-digest', /^sha256:([0-9a-f]{64})$/i, 'hex'],
];

function readSha256(headers: Headers): string | undefined {
  for (const [name, form, encoding] of DIGEST_HEADERS) {
    const text = form.exec(headerOf(headers, name)?.trim() ?? '')?.[1];
    if (text !== undefined) return Buffer.from(text, encoding).toString('hex');
  }
  return undefined;
}

/**
 * What an answer says of the file.
 * @param path of the URL that answered
 * @throws HttpFailure for an answer that has no file, or not as it is
 */
export function readAnswer(status: number, headers: Headers, body: HttpAnswer['body'], path: string): HttpAnswer {
  if (status !== 200 && status !== 206) throw statusFailure(status, headerOf(headers, 'retry-after'));
  checkEncoding(headers, path);
  const common = {
    etag: headerOf(headers, 'etag'),
    lastModified: headerOf(headers, 'last-modified'),
    sha256: readSha256(headers),
    body,
  };
  if (status === 206) return { ...common, ...readContentRange(headers), isPartial: true };
  const sizeBytes = wholeNumber(headerOf(headers, 'content-length'));
  return { ...common, start: 0, end: sizeBytes, isPartial: false, sizeBytes };
}

/**
 * How long to wait by Retry-After: seconds, or a date.
 * @returns milliseconds, 0 where it says nothing that makes sense
 */
export function retryAfterMs(text: string | undefined, nowMs: number): number {
  const seconds = wholeNumber(text?.trim());
  if (seconds !== undefined) return seconds * 1000;
  const date = Date.parse(text ?? '');
  return Number.isNaN(date) ? 0 : Math.max(0, date - nowMs);
}
