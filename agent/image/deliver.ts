import { AgentError } from '../api/errors.ts';
import type { Clock } from '../os/door.ts';
import { type Checksum, findChecksum, isUrl, readChecksum } from './checksum.ts';
import type { HttpOptions } from './http-request.ts';
import { ImageChanged, openHttpSource } from './http-source.ts';
import type { ImageRequest } from './request.ts';
import { writeImage, type WriteImageJob, type WrittenImage } from './write.ts';

/** How images are fetched on this machine, whatever the image. */
export type DeliveryOptions = {
  http: HttpOptions;
  isMd5Allowed: boolean;
  permittedFormats?: readonly string[] | undefined;
  /** Longest time for one image, milliseconds; 0 is no limit. */
  maxDurationMs: number;
};

const MOST_CHECKSUM_FILE_BYTES = 1024 ** 2;
/** How often an image that changes under our hands is begun anew. */
const MOST_STARTS = 3;

/**
 * A small file as a whole.
 * @throws AgentError `ImageDownloadError` when it cannot be fetched or is longer than `mostBytes`
 */
export async function fetchSmallFile(
  url: string,
  options: HttpOptions,
  clock: Clock,
  mostBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const source = await openHttpSource(url, options, clock, signal);
  try {
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const bytes of source.stream(signal)) {
      length += bytes.length;
      if (length > mostBytes)
        throw new AgentError('ImageDownloadError', `cannot use ${source.name}: it is longer than ${mostBytes} bytes`);
      parts.push(bytes);
    }
    return Buffer.concat(parts);
  } finally {
    await source.close();
  }
}

async function resolveChecksum(
  request: ImageRequest,
  options: DeliveryOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Checksum> {
  const { checksum, urls } = request;
  if (!isUrl(checksum.value)) return readChecksum(checksum, options.isMd5Allowed);
  const file = await fetchSmallFile(checksum.value, options.http, clock, MOST_CHECKSUM_FILE_BYTES, signal);
  const value = findChecksum(file.toString('utf8'), urls[0] ?? '');
  return readChecksum({ algorithm: checksum.algorithm, value }, options.isMd5Allowed);
}

/** The first URL whose server answers; the last error when none does. A 4xx answer ends it at once, as the field does. */
async function openFirst(request: ImageRequest, http: HttpOptions, clock: Clock, signal: AbortSignal) {
  let failure: unknown;
  for (const url of request.urls) {
    try {
      return await openHttpSource(url, http, clock, signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw failure;
}

type Delivery = Pick<WriteImageJob, 'device' | 'wipe' | 'progress' | 'signal'> & {
  request: ImageRequest;
  options: DeliveryOptions;
  clock: Clock;
};

async function deliverOnce(delivery: Delivery, checksum: Checksum): Promise<WrittenImage> {
  const { request, options, clock, signal } = delivery;
  const source = await openFirst(request, { ...options.http, ...request.http }, clock, signal);
  try {
    return await writeImage({
      ...delivery,
      source,
      diskFormat: request.diskFormat,
      checksum,
      permittedFormats: options.permittedFormats,
    });
  } finally {
    await source.close();
  }
}

async function deliver(delivery: Delivery): Promise<WrittenImage> {
  const { request, options, clock, signal } = delivery;
  const http = { ...options.http, ...request.http };
  const checksum = await resolveChecksum(request, { ...options, http }, clock, signal);
  for (let start = 1; ; start++) {
    try {
      return await deliverOnce(delivery, checksum);
    } catch (error) {
      const isChanged =
        error instanceof ImageChanged || (error instanceof Error && error.cause instanceof ImageChanged);
      if (!isChanged || start === MOST_STARTS) throw error;
      delivery.progress({ phase: 'start again', message: 'the image on the server changed while it was read' });
    }
  }
}

/**
 * Fetches an image and writes it to a device; see `writeImage` for what holds after success and after failure.
 * @throws AgentError; `ImageDownloadTimeoutError` when the time limit is reached
 */
export async function deliverImage(delivery: Delivery): Promise<WrittenImage> {
  const limit = delivery.options.maxDurationMs;
  if (limit === 0) return deliver(delivery);
  const timeout = new AbortController();
  const timer = setTimeout(() => {
    timeout.abort(new AgentError('ImageDownloadTimeoutError', `cannot download the image within ${limit / 1000} s`));
  }, limit);
  try {
    return await deliver({ ...delivery, signal: AbortSignal.any([delivery.signal, timeout.signal]) });
  } finally {
    clearTimeout(timer);
  }
}
