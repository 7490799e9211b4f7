import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { extract, type Header } from 'tar-stream';

import type { Entry } from './entry.ts';

/** As `Entry`, with the place of a file's bytes in the one file that holds all of them. */
type IndexRow = Omit<Extract<Entry, { type: 'file' }>, 'content'> & { offset: number };
export type TarIndex = (Exclude<Entry, { type: 'file' }> | IndexRow)[];

function toRow(
  header: Header,
  path: string,
  toPath: (name: string) => string,
): Exclude<Entry, { type: 'file' }> | undefined {
  const common = { path, mode: header.mode & 0o7777, uid: header.uid, gid: header.gid };
  switch (header.type) {
    case 'directory':
      return { ...common, type: 'directory' };
    case 'symlink':
      return { ...common, mode: 0o777, type: 'symlink', target: header.linkname };
    case 'link':
      return { ...common, type: 'hardlink', target: toPath(header.linkname) };
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

/**
 * Reads a tar stream; files' bytes go one after the other into `dataPath`.
 * @param toPath a name in the archive as a path in the tree; '' for what is left out
 */
export async function readTar(
  tar: AsyncIterable<Uint8Array>,
  dataPath: string,
  toPath: (name: string) => string,
): Promise<TarIndex> {
  const rows: TarIndex = [];
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
      const path = toPath(header.name);
      const row = path === '' ? undefined : toRow(header, path, toPath);
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

/** Entries of an index, whose files' bytes are in `dataPath`. */
export function indexEntries(rows: TarIndex, dataPath: string): Entry[] {
  return rows.map((row) => {
    if (row.type !== 'file') return row;
    const { offset, ...rest } = row;
    return { ...rest, content: { kind: 'slice', file: dataPath, offset } };
  });
}
