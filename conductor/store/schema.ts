import { Failure, reasonOf } from '../../system/failure.ts';
import type { Database } from '../os/door.ts';
import { storeFailure } from './failures.ts';

/**
 * What brings a database from one version to the next; the version is SQLite's `user_version`. Never change an entry that
 * was released: add one.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE nodes (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     uuid TEXT NOT NULL UNIQUE,
     name TEXT UNIQUE,
     record TEXT NOT NULL
   ) STRICT;
   CREATE TABLE ports (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     uuid TEXT NOT NULL UNIQUE,
     node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,
     address TEXT NOT NULL UNIQUE,
     record TEXT NOT NULL
   ) STRICT;
   CREATE TABLE configdrives (
     node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,
     content TEXT NOT NULL
   ) STRICT;
   CREATE TABLE inventories (
     node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,
     record TEXT NOT NULL
   ) STRICT;`,
];

/** SQLite's code for a lock that another process holds. */
const SQLITE_BUSY = 5;

/**
 * Takes the database for this process alone and brings it up to this version's schema.
 *
 * FULL sync with WAL means that what was said to an agent or a BMC is on the disk before; the exclusive lock keeps a second
 * conductor from driving the same machines, and goes with the process, however that ends.
 * @throws Failure, with the database closed, when another conductor has it, a newer Ingot made it, or it is damaged
 */
export function prepareDatabase(database: Database, path: string): void {
  try {
    database.exec(
      'PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;',
    );
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version > MIGRATIONS.length) {
      throw storeFailure('DATABASE_TOO_NEW', `${path} has version ${version}, this Ingot knows ${MIGRATIONS.length}`);
    }
    database.exec('BEGIN EXCLUSIVE');
    for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
    database.exec(`PRAGMA user_version=${MIGRATIONS.length}; COMMIT`);
  } catch (error) {
    // Whoever opened it has no more use for it, and its lock would stay.
    database.close();
    if (error instanceof Failure) throw error;
    const busy = (error as { errcode?: number }).errcode === SQLITE_BUSY;
    throw storeFailure(busy ? 'DATABASE_BUSY' : 'DATABASE_UNUSABLE', busy ? path : `${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
