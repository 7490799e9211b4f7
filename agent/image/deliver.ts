import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { type Attempt, tryEach } from './attempts.ts';
import { type Checksum, readChecksum } from './checksum.ts';
import { findChecksum } from './checksum-file.ts';
import type { HttpOptions } from './http-request.ts';
import { fetchSmallFile, isFetchable, type OpenedImage, openImage, type OpenOptions } from './open.ts';
import type { ImageRequest } from './request.ts';
import { withSpares } from './spares.ts';
import { type ImageOutline, outlineImage } from './plan.ts';
import type { VerifyLevel } from './verify.ts';
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
  /** Node's name of the architecture that images of registries are for; this machine's without it. */
  architecture?: string | undefined;
  /** How much is read back of what was written, where the request does not say; `sample` without it. */
  verify?: VerifyLevel | undefined;
};

/** @param isVerified false only where nobody said what the file has to hash to */
export type DeliveredImage = WrittenImage & { isVerified: boolean };

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
  const found = findChecksum(file.toString('utf8'), urls, { algorithm: checksum.algorithm, isMd5Allowed });
  return readChecksum(found, isMd5Allowed);
}

type Delivery = Pick<WriteImageJob, 'device' | 'wipe' | 'progress' | 'signal'> & {
  request: ImageRequest;
  options: DeliveryOptions;
  os: OpenOptions['os'] & Pick<WriteImageJob, 'filter'>;
};

function openOptions({ request, options, os }: Pick<Delivery, 'request' | 'options' | 'os'>): OpenOptions {
  const { fileFolders, architecture } = options;
  return { http: { ...options.http, ...request.http }, os, fileFolders, architecture };
}

/**
 * What the bytes must hash to: what was asked for, else what the address says. A digest of a registry that says otherwise by the
 * same algorithm is refused before anything is read; by another one, what was asked for counts.
 */
function agreedChecksum(wanted: Checksum | undefined, { name, checksum }: OpenedImage): Checksum | undefined {
  if (wanted && checksum?.algorithm === wanted.algorithm && checksum.hex !== wanted.hex)
    throw new AgentError(
      'ImageDownloadError',
      `cannot use ${name}: its digest is ${checksum.algorithm}:${checksum.hex}, and ${wanted.hex} was asked for`,
    );
  return wanted ?? checksum;
}

/** What somebody said of the format; "unknown" is how Ironic says nothing. */
function agreedFormat(wanted: string | undefined, { format }: OpenedImage): string | undefined {
  return wanted === undefined || wanted === 'unknown' ? (format ?? wanted) : wanted;
}

/** An opened source with what holds for its bytes. The caller closes it. */
async function openAgreed(
  { url, spares }: Pick<Attempt, 'url' | 'spares'>,
  open: OpenOptions,
  wanted: { checksum: Checksum | undefined; format: string | undefined },
  signal: AbortSignal,
  say: (why: string) => void = () => undefined,
) {
  const left = [...spares];
  const openNext = async (): Promise<OpenedImage | undefined> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      try {
        return await openImage(next, open, signal);
      } catch (error) {
        signal.throwIfAborted();
        say(reasonOf(error));
      }
    }
    return undefined;
  };
  const source = withSpares(await openImage(url, open, signal), openNext, say);
  try {
    return {
      source,
      diskFormat: agreedFormat(wanted.format, source),
      checksum: agreedChecksum(wanted.checksum, source),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function deliverOnce(
  delivery: Delivery,
  checksum: Checksum | undefined,
  attempt: Attempt,
  isTouched: boolean,
): Promise<DeliveredImage> {
  const { request, options, signal, device } = delivery;
  const open = openOptions(delivery);
  const http = { ...open.http, isFresh: attempt.isFresh };
  const wanted = { checksum, format: request.diskFormat };
  const say = (message: string) => delivery.progress({ phase: 'next source', message });
  const agreed = await openAgreed(attempt, { ...open, http }, wanted, signal, say).catch((error: unknown) => {
    if (!(error instanceof AgentError)) throw error;
    const note = isTouched ? `${device.path} has no partition table` : `${device.path} was not touched`;
    throw new AgentError(error.type, `${error.details}; ${note}`, { cause: error });
  });
  try {
    const { permittedFormats } = options;
    const { filter } = delivery.os;
    const isFileSystem = request.partition !== undefined;
    const verify = request.verify ?? options.verify;
    const job = { ...delivery, ...agreed, permittedFormats, filter, isFileSystem, isTouched, verify };
    const written = await writeImage(job);
    return { ...written, isVerified: agreed.checksum !== undefined };
  } finally {
    await agreed.source.close();
  }
}

async function deliver(delivery: Delivery): Promise<DeliveredImage> {
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
  const outline = async (attempt: Attempt) => {
    const agreed = await openAgreed(attempt, open, { checksum, format: request.diskFormat }, signal);
    const { source } = agreed;
    try {
      const { permittedFormats } = options;
      const job = { source, diskFormat: agreed.diskFormat, permittedFormats, filter: delivery.os.filter, signal };
      return { source: source.name, checksum: agreed.checksum, ...(await outlineImage(job, device)) };
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
export async function deliverImage(delivery: Delivery): Promise<DeliveredImage> {
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
