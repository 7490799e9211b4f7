import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

import { writeAtomically } from '../../system/files.ts';
import { systemRun } from '../../system/run.ts';
import type { Clock, ConductorOs } from './door.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (milliseconds, signal) => {
    try {
      await delay(milliseconds, undefined, signal ? { signal } : {});
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
};

/** The conductor's door to the machine it runs on. */
export const systemOs: ConductorOs = {
  run: systemRun,
  clock: systemClock,
  openDatabase: (path) => {
    // SQLite would make it with the umask's rights; its journal files inherit the rights of the file.
    closeSync(openSync(path, 'a', 0o600));
    return new DatabaseSync(path);
  },
  makePrivateDirectory: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  readFile: (path) => readFile(path),
  writeFile: async (path, content, mode) => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeAtomically(path, (temporary) => writeFile(temporary, content, { mode }));
  },
  withTemporaryDirectory: async (use) => {
    const path = await mkdtemp(join(tmpdir(), 'ingot-'));
    try {
      return await use(path);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  },
};
