import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
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

/** A removal of a dead owner's lock takes a moment; a mark of one that is older than this was left by a process that died in it. */
const LONGEST_REMOVAL_MS = 30_000;

/** Makes a lock file, whole from the start, so that nobody ever sees one without its owner. @returns false when there is one */
async function createLock(path: string): Promise<boolean> {
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(own, String(process.pid));
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** Whether there is a lock that nobody holds: its process is gone, or it was never written whole. */
async function hasDeadOwner(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return false; // given back meanwhile
  const owner = Number(text);
  return !(owner > 0 && (await isAlive(owner)));
}

/**
 * Removes the lock of a dead process. One process does it at a time and looks again before it does: without that, of two that saw
 * the same dead owner, the second would remove the lock that the first had just taken.
 */
async function removeDeadLock(path: string): Promise<void> {
  const mark = `${path}.removal`;
  if (!(await createLock(mark))) {
    const since = await stat(mark).catch(() => undefined);
    if (since !== undefined && Date.now() - since.mtimeMs > LONGEST_REMOVAL_MS) await rm(mark, { force: true });
    return;
  }
  try {
    if (await hasDeadOwner(path)) await rm(path, { force: true });
  } finally {
    await rm(mark, { force: true });
  }
}

/** Takes a lock file that holds our process number; one that a dead process left behind is removed. */
async function takeLock(path: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    if (await createLock(path)) return;
    if (await hasDeadOwner(path)) await removeDeadLock(path);
    await sleep(50, undefined, { signal });
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
