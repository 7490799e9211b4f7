import type { DatabaseSync } from 'node:sqlite';

import type { Run } from '../../system/run.ts';

export type Clock = {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** @throws the signal's reason when it aborts first */
  sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
};

export type Database = DatabaseSync;

/** Everything the conductor may ask of the machine it runs on. The real one is `system.ts`. */
export type ConductorOs = {
  run: Run;
  clock: Clock;
  /** Opens or makes an SQLite file that only its owner can read. */
  openDatabase: (path: string) => Database;
  /** Makes a folder, with its parents, that only its owner can read. */
  makePrivateDirectory: (path: string) => Promise<void>;
  readFile: (path: string) => Promise<Uint8Array>;
  writeFile: (path: string, content: Uint8Array, mode: number) => Promise<void>;
  /** A folder of its own for the time of `use`; removed afterwards. */
  withTemporaryDirectory: <T>(use: (path: string) => Promise<T>) => Promise<T>;
};
