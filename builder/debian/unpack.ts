import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { extract, type Header } from 'tar-stream';

import type { Entry } from '../archive/entry.ts';
import { builderFailure } from '../failures.ts';
import type { BuilderHost } from '../host/door.ts';
import { mergedPath } from './paths.ts';

/** Raised when the form of an index changes, so that old cache entries are not read. */
const FORMAT = 2;

/** As `Entry`, with the place of a file's bytes in the one file that holds all of them. */
type IndexRow = Omit<Extract<Entry, { type: 'file' }>, 'content'> & { offset: number };
type Index = (Exclude<Entry, { type: 'file' }> | IndexRow)[];

function toRow(header: Header, path: string): Exclude<Entry, { type: 'file' }> | undefined {
  const common = { path, mode: header.mode & 0o7777, uid: header.uid, gid: header.gid };
  switch (header.type) {
    case 'directory':
      return { ...common, type: 'directory' };
    case 'symlink':
      return { ...common, mode: 0o777, type: 'symlink', target: header.linkname };
    case 'link':
      return { ...common, type: 'hardlink', target: mergedPath(header.linkname) };
    case 'character-device':
      return { ...common, type: 'character', major: header.devmajor, minor: header.devminor };
    case 'block-device':
      return { ...common, type: 'block', major: header.devmajor, minor: header.devminor };
    case 'fifo':
      return { ...common, type: 'fifo' };
    case 'file':
    case 'contiguous-file':
      break; // their bytes come first
  }
  return undefined;
}

/** Reads a package's tar stream; files' bytes go one after the other into `dataPath`. */
async function readTar(tar: AsyncIterable<Uint8Array>, dataPath: string): Promise<Index> {
  const rows: Index = [];
  const data = await open(dataPath, 'w');
  let offset = 0;
  try {
    const archive = extract();
    const feeding = (async () => {
      for await (const piece of tar)
        if (!archive.write(piece)) await new Promise<void>((go) => archive.once('drain', go));
      archive.end(null);
    })();
    for await (const entry of archive) {
      const { header } = entry;
      const path = mergedPath(header.name);
      const row = path === '' ? undefined : toRow(header, path);
      if (row) rows.push(row);
      if (header.type !== 'file' && header.type !== 'contiguous-file') {
        entry.resume();
        continue;
      }
      const hash = createHash('sha256');
      const start = offset;
      for await (const piece of entry as AsyncIterable<Uint8Array>) {
        hash.update(piece);
        await data.writeFile(piece);
        offset += piece.byteLength;
      }
      const mode = header.mode & 0o7777;
      const owner = { uid: header.uid, gid: header.gid };
      rows.push({
        path,
        mode,
        ...owner,
        type: 'file',
        size: offset - start,
        digest: hash.digest('hex'),
        offset: start,
      });
    }
    await feeding;
  } finally {
    await data.close();
  }
  return rows;
}

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
    const rows = await readTar(child.stdout, join(folder, 'data'));
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
  const rows = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as Index;
  const file = join(folder, 'data');
  return rows.map((row) => {
    if (row.type !== 'file') return row;
    const { offset, ...rest } = row;
    return { ...rest, content: { kind: 'slice', file, offset } };
  });
}
