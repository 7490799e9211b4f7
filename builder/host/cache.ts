import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { writeAtomically } from '../../system/files.ts';
import { explainWriteError, hostFailure } from './failures.ts';

/**
 * The builder's cache. Entries are named by the digest of what went into them, so they never change and any number of builds
 * may use them at once; an entry that is being made has another name until it is whole.
 */
export type Cache = {
  root: string;
  /** The path of an entry: a word for its kind, then its name. */
  path: (kind: string, name: string) => string;
  /** @returns the entry's path; `make` fills a new folder when there is none. */
  directory: (kind: string, name: string, make: (folder: string) => Promise<void>) => Promise<string>;
  /** @returns the entry's path; `make` writes a new file when there is none. */
  file: (kind: string, name: string, make: (file: string) => Promise<void>) => Promise<string>;
  /** Runs `work` while nobody else on this machine runs work under the same name. */
  exclusively: <T>(name: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;
};

/** `$XDG_CACHE_HOME/ingot`, or `~/.cache/ingot`. */
export function defaultCacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'ingot');
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Takes a lock file that holds our process number; one that a dead process left behind is removed. */
async function takeLock(path: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''));
    if (owner > 0 && !(await isAlive(owner))) {
      // Renamed first, so that of two processes that see the same dead owner only one removes it.
      const gone = `${path}.${randomBytes(4).toString('hex')}`;
      await rename(path, gone).catch(() => undefined);
      await rm(gone, { force: true });
    } else await sleep(200, undefined, { signal });
  }
}

async function makeDirectory(path: string, make: (folder: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path;
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(temporary, { recursive: true });
    await make(temporary);
    await rename(temporary, path).catch(async (error: NodeJS.ErrnoException) => {
      // Somebody else made the same entry meanwhile: theirs is as good as ours.
      if (!(await exists(path))) throw error;
    });
    return path;
  } catch (error) {
    throw explainWriteError(error, path);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** @param root made when it is not there */
export async function openCache(root: string): Promise<Cache> {
  const absolute = resolve(root);
  const path = (kind: string, name: string) => join(absolute, kind, name);
  await mkdir(join(absolute, 'locks'), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw hostFailure('CACHE_UNWRITABLE', `${absolute}: ${error.message}`, { cause: error });
  });
  return {
    root: absolute,
    path,
    directory: async (kind, name, make) => {
      await mkdir(join(absolute, kind), { recursive: true });
      return makeDirectory(path(kind, name), make);
    },
    file: async (kind, name, make) => {
      const target = path(kind, name);
      if (await exists(target)) return target;
      await mkdir(dirname(target), { recursive: true });
      await writeAtomically(target, make).catch((error: unknown) => {
        throw explainWriteError(error, target);
      });
      return target;
    },
    exclusively: async (name, signal, work) => {
      const lock = path('locks', name);
      await takeLock(lock, signal);
      try {
        return await work();
      } finally {
        await rm(lock, { force: true });
      }
    },
  };
}
