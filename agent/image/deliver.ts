import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { type Attempt, tryEach } from './attempts.ts';
import { type Checksum, findChecksum, readChecksum } from './checksum.ts';
import type { HttpOptions } from './http-request.ts';
import { fetchSmallFile, isFetchable, openImage, type OpenOptions } from './open.ts';
import type { ImageRequest } from './request.ts';
import { type ImageOutline, outlineImage } from './plan.ts';
import { writeImage, type WriteImageJob, type WrittenImage } from './write.ts';

/** How images are fetched on this machine, whatever the image. */
export type DeliveryOptions = {
  http: HttpOptions;
  isMd5Allowed: boolean;
  permittedFormats?: readonly string[] | undefined;
  /** Longest time for one image, milliseconds; 0 is no limit. */
  maxDurationMs: number;
  /** Folders that `file://` URLs may read from; none without it. `/` is all. */
  fileFolders?: readonly string[] | undefined;
};

const MOST_CHECKSUM_FILE_BYTES = 1024 ** 2;

async function resolveChecksum(
  request: ImageRequest,
  isMd5Allowed: boolean,
  open: OpenOptions,
  signal: AbortSignal,
): Promise<Checksum | undefined> {
  const { checksum, urls } = request;
  if (!checksum) return undefined;
  if (!isFetchable(checksum.value)) return readChecksum(checksum, isMd5Allowed);
  const file = await fetchSmallFile(checksum.value, open, MOST_CHECKSUM_FILE_BYTES, signal);
  const value = findChecksum(file.toString('utf8'), urls[0] ?? '');
  return readChecksum({ algorithm: checksum.algorithm, value }, isMd5Allowed);
}

type Delivery = Pick<WriteImageJob, 'device' | 'wipe' | 'progress' | 'signal'> & {
  request: ImageRequest;
  options: DeliveryOptions;
  os: OpenOptions['os'] & Pick<WriteImageJob, 'filter'>;
};

function openOptions({ request, options, os }: Pick<Delivery, 'request' | 'options' | 'os'>): OpenOptions {
  return { http: { ...options.http, ...request.http }, os, fileFolders: options.fileFolders };
}

async function deliverOnce(
  delivery: Delivery,
  checksum: Checksum | undefined,
  attempt: Attempt,
  isTouched: boolean,
): Promise<WrittenImage> {
  const { request, options, signal, device } = delivery;
  const open = openOptions(delivery);
  const http = { ...open.http, isFresh: attempt.isFresh };
  const source = await openImage(attempt.url, { ...open, http }, signal).catch((error: unknown) => {
    if (!(error instanceof AgentError)) throw error;
    const note = isTouched ? `${device.path} has no partition table` : `${device.path} was not touched`;
    throw new AgentError(error.type, `${error.details}; ${note}`, { cause: error });
  });
  try {
    return await writeImage({
      ...delivery,
      filter: delivery.os.filter,
      source,
      diskFormat: request.diskFormat,
      isFileSystem: request.partition !== undefined,
      checksum,
      permittedFormats: options.permittedFormats,
      isTouched,
    });
  } finally {
    await source.close();
  }
}

async function deliver(delivery: Delivery): Promise<WrittenImage> {
  const { request, options, signal, progress } = delivery;
  const checksum = await resolveChecksum(request, options.isMd5Allowed, openOptions(delivery), signal);
  let isTouched = false;
  const wipe = async () => {
    isTouched = true;
    await delivery.wipe();
  };
  return tryEach(
    request.urls,
    (attempt) => {
      signal.throwIfAborted();
      return deliverOnce({ ...delivery, wipe }, checksum, attempt, isTouched);
    },
    (phase, message) => progress({ phase, message }),
  );
}

/**
 * What `deliverImage` would do, without doing it: the server that answers, what the image is, and what it has to hash to.
 * @throws AgentError as `deliverImage` before it touches the disk
 */
export async function outlineDelivery(
  delivery: Pick<Delivery, 'request' | 'options' | 'os' | 'signal'> & {
    device: Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'>;
  },
): Promise<ImageOutline & { source: string; checksum: Checksum | undefined }> {
  const { request, options, signal, device } = delivery;
  const open = openOptions(delivery);
  const checksum = await resolveChecksum(request, options.isMd5Allowed, open, signal);
  const outline = async ({ url }: Attempt) => {
    const source = await openImage(url, open, signal);
    try {
      const { filter } = delivery.os;
      const { diskFormat } = request;
      const job = { source, diskFormat, permittedFormats: options.permittedFormats, filter, signal };
      return { source: source.name, checksum, ...(await outlineImage(job, device)) };
    } finally {
      await source.close();
    }
  };
  return tryEach(request.urls, outline, () => undefined);
}

/**
 * Fetches an image and writes it to a device; see `writeImage` for what holds after success and after failure.
 * The sources are tried in order, also when one breaks off in the middle; the disk has no partition table meanwhile.
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
