import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Entry } from '../archive/entry.ts';
import { indexEntries, readTar, type TarIndex } from '../archive/tar.ts';
import { builderFailure } from '../failures.ts';
import type { BuilderHost } from '../host/door.ts';
import { mergedPath } from './paths.ts';

/** Raised when the form of an index changes, so that old cache entries are not read. */
const FORMAT = 2;

async function unpackTo(host: BuilderHost, deb: string, folder: string, signal: AbortSignal): Promise<void> {
  const child = host.start('dpkg-deb', ['--fsys-tarfile', deb]);
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
    const rows = await readTar(child.stdout, join(folder, 'data'), mergedPath);
    const code = await ended;
    if (code !== 0) throw builderFailure('CANNOT_UNPACK', `${deb}: ${complaint.trim()}`);
    await writeFile(join(folder, 'index.json'), JSON.stringify(rows));
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
  const folder = await host.cache.directory(`unpacked-${FORMAT}`, sha256, (temporary) =>
    unpackTo(host, deb, temporary, signal),
  );
  const rows = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as TarIndex;
  return indexEntries(rows, join(folder, 'data'));
}
