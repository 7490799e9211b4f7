import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { ImageChanged } from './source.ts';

/** One try to write the image. */
export type Attempt = {
  url: string;
  /** The sources after it. */
  spares: readonly string[];
  /** The bytes that came last time were wrong: no cache on the way may answer from what it has. */
  isFresh: boolean;
};

/** How often an image that changes under our hands is begun anew. */
const MOST_STARTS = 3;

/** Failures that another source of the same image may not have. The disk, the request and the time limit are the same everywhere. */
const OF_THE_SOURCE: ReadonlySet<string> = new Set(['ImageDownloadError', 'ImageChecksumError', 'InvalidImage']);

function isOfTheSource(error: unknown): error is AgentError {
  return error instanceof AgentError && OF_THE_SOURCE.has(error.type);
}

function isChanged(error: unknown): boolean {
  return error instanceof ImageChanged || (error instanceof Error && error.cause instanceof ImageChanged);
}

async function untilItHolds<T>(attempt: Attempt, work: (attempt: Attempt) => Promise<T>, say: Say): Promise<T> {
  for (let start = 1; ; start++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (!isChanged(error)) throw error;
      if (start === MOST_STARTS)
        throw error instanceof AgentError
          ? error
          : new AgentError('ImageDownloadError', `cannot download the image: ${reasonOf(error)}`, { cause: error });
      say('start again', 'the image on the server changed while it was read');
    }
  }
}

type Say = (phase: string, message: string) => void;

/** The same wrong bytes twice are another file; different ones point at the way that they came. */
function explainSecond(first: AgentError, second: AgentError): AgentError {
  const why =
    first.details === second.details
      ? 'the same twice, so that checksum and file do not belong together'
      : `another than at the first try (${first.details}), so that something on the way, or this machine’s memory, alters bytes`;
  return new AgentError(second.type, `${second.details}; it was ${why}`, { cause: second });
}

function allFailed(failures: readonly AgentError[]): AgentError {
  const last = failures.at(-1);
  if (!last) throw new TypeError('an image without any source');
  if (failures.length === 1) return last;
  const list = failures.map(({ details }, index) => `(${index + 1}) ${details}`).join(' ');
  return new AgentError(last.type, `cannot get the image from any of ${failures.length} sources: ${list}`, {
    cause: last,
  });
}

/**
 * Tries the sources of an image in order until one is written. A wrong checksum of the only source is tried once more.
 * @param say told why another try is made
 * @throws what the last try threw; with several sources the details name each of them
 */
export async function tryEach<T>(
  urls: readonly string[],
  work: (attempt: Attempt) => Promise<T>,
  say: Say,
): Promise<T> {
  const failures: AgentError[] = [];
  for (const [index, url] of urls.entries()) {
    try {
      return await untilItHolds({ url, spares: urls.slice(index + 1), isFresh: false }, work, say);
    } catch (error) {
      if (!isOfTheSource(error)) throw error;
      failures.push(error);
      if (failures.length < urls.length) say('next source', error.details);
    }
  }
  const [first] = failures;
  const [url] = urls;
  if (urls.length !== 1 || url === undefined || first?.type !== 'ImageChecksumError') throw allFailed(failures);
  say('start again', first.details);
  try {
    return await untilItHolds({ url, spares: [], isFresh: true }, work, say);
  } catch (error) {
    throw error instanceof AgentError && error.type === first.type ? explainSecond(first, error) : error;
  }
}
