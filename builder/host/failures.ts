import { defineFailures, reasonOf } from '../../system/failure.ts';

export const hostFailure = defineFailures({
  DOWNLOAD_FAILED: {
    message: (detail) => `cannot download ${detail}`,
    hint: 'check that the mirror can be reached from here, or name another with --mirror URL',
  },
  OFFLINE: {
    message: (detail) => `cannot build without the network: ${detail}`,
    hint: 'run it once without --offline',
  },
  WRONG_DIGEST: {
    message: (detail) => `cannot use a download: ${detail}`,
    hint: 'the mirror is being updated or a proxy changed the file; try again in a few minutes, or use another --mirror',
  },
  DISK_FULL: {
    message: (detail) => `cannot write ${detail}: the disk is full`,
    hint: 'free some space, or put the cache on another disk with --cache DIR',
  },
  CACHE_UNWRITABLE: {
    message: (detail) => `cannot use the cache folder ${detail}`,
    hint: 'name a folder that you may write to with --cache DIR',
  },
});

/** Turns "no space left" into the failure that says so; passes anything else on. */
export function explainWriteError(error: unknown, path: string, hint?: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  // A program that was run says it in its own words.
  const isSaid =
    code === 'COMMAND_FAILED' && /No space left on device|Disk quota exceeded|Disk full/.test(reasonOf(error));
  return code === 'ENOSPC' || code === 'EDQUOT' || isSaid
    ? hostFailure('DISK_FULL', path, { cause: error, ...(hint !== undefined && { hint }) })
    : error;
}
