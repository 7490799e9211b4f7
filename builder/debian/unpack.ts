import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import type { Entry } from '../archive/entry.ts';
import { indexEntries, readTar, type TarIndex } from '../archive/tar.ts';
import { builderFailure } from '../failures.ts';
import type { BuilderHost } from '../host/door.ts';
import type { PackageScript } from '../scripts/shell.ts';
import { entryBytes } from '../tree/bytes.ts';
import { mergedPath } from './paths.ts';

/** Raised when the form of an index changes, so that old cache entries are not read. */
const FORMAT = 3;
const SCRIPTS_FORMAT = 2;

/** What a package runs when it is installed for the first time, and what it asks dpkg to run. */
const SCRIPTS = ['preinst', 'postinst', 'triggers'];

/** Reads a tar stream of a package into a folder: its index, and its files' bytes. */
async function readPart(
  host: BuilderHost,
  [option, deb]: ['--fsys-tarfile' | '--ctrl-tarfile', string],
  folder: string,
  toPath: (name: string) => string,
  signal: AbortSignal,
): Promise<TarIndex> {
  const child = host.start('dpkg-deb', [option, deb]);
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let complaint = '';
  child.stderr?.on('data', (piece: Buffer) => (complaint += piece.toString()));
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', (error) =>
      reject(builderFailure('MISSING_PROGRAM', 'dpkg-deb', { cause: error, hint: 'apt-get install dpkg' })),
    );
    child.on('close', (code) => resolve(code ?? 1));
  });
  ended.catch(() => undefined); // awaited below, after the stream
  try {
    if (child.stdout === null) throw new TypeError('dpkg-deb was started without a pipe');
    // Read from this very moment: Node throws away what is left in the pipe of a program that ends before anybody reads.
    const tar = child.stdout.pipe(new PassThrough());
    let names = 0;
    const rows = await readTar(tar, join(folder, 'data'), (name) => {
      names += 1;
      return toPath(name);
    });
    if (names === 0) throw builderFailure('CANNOT_UNPACK', `${deb}: dpkg-deb gave nothing`);
    const code = await ended;
    if (code !== 0) throw builderFailure('CANNOT_UNPACK', `${deb}: ${complaint.trim()}`);
    return rows;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Unpacks a package into the cache, once, without running anything of it: an index from its tar headers, and its files' bytes.
 * @param sha256 digest of the .deb, which names the cache entry
 */
export async function unpackDeb(host: BuilderHost, deb: string, sha256: string, signal: AbortSignal): Promise<Entry[]> {
  const folder = await host.cache.directory(`unpacked-${FORMAT}`, sha256, async (temporary) => {
    const rows = await readPart(host, ['--fsys-tarfile', deb], temporary, mergedPath, signal);
    await writeFile(join(temporary, 'index.json'), JSON.stringify(rows));
  });
  const rows = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as TarIndex;
  return indexEntries(rows, join(folder, 'data'));
}

/**
 * The scripts of a package, which are not run: they are read to see whether they can be done without.
 * @param sha256 digest of the .deb, which names the cache entry
 */
export async function debScripts(
  host: BuilderHost,
  deb: string,
  sha256: string,
  signal: AbortSignal,
): Promise<PackageScript[]> {
  const folder = await host.cache.directory(`scripts-${SCRIPTS_FORMAT}`, sha256, async (temporary) => {
    const name = (path: string) => path.replace(/^\.\//, '');
    const rows = await readPart(host, ['--ctrl-tarfile', deb], temporary, name, signal);
    const files = indexEntries(rows, join(temporary, 'data')).filter((entry) => SCRIPTS.includes(entry.path));
    const scripts = await Promise.all(
      files.map(async (entry): Promise<PackageScript> => {
        const text = entry.type === 'file' ? Buffer.from(await entryBytes(entry)).toString() : '';
        return { kind: entry.path, interpreter: /^#!\s*(.+)/.exec(text)?.[1]?.trim() ?? '', text };
      }),
    );
    await rm(join(temporary, 'data'));
    await writeFile(join(temporary, 'scripts.json'), JSON.stringify(scripts));
  });
  return JSON.parse(await readFile(join(folder, 'scripts.json'), 'utf8')) as PackageScript[];
}
