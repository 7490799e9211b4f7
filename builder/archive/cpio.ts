import type { Entry } from './entry.ts';

/** File type bits of st_mode, as newc has them. */
const TYPE_BITS = {
  file: 0o100_000,
  hardlink: 0o100_000,
  directory: 0o040_000,
  symlink: 0o120_000,
  character: 0o020_000,
  block: 0o060_000,
  fifo: 0o010_000,
} as const satisfies Record<Entry['type'], number>;

const MAX_FILE_BYTES = 0xff_ff_ff_ff;
const encoder = new TextEncoder();

function padding(length: number, to = 4): Uint8Array {
  return new Uint8Array((to - (length % to)) % to);
}

type Fields = {
  inode: number;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  mtime: number;
  size: number;
  major: number;
  minor: number;
};

/** One newc header with its name, padded to four bytes. */
function header(name: string, fields: Fields): Uint8Array {
  const bytes = encoder.encode(`${name}\0`);
  const { inode, mode, uid, gid, links, mtime, size, major, minor } = fields;
  const numbers = [inode, mode, uid, gid, links, mtime, size, 0, 0, major, minor, bytes.length, 0];
  const head = encoder.encode(`070701${numbers.map((n) => n.toString(16).toUpperCase().padStart(8, '0')).join('')}`);
  return Buffer.concat([head, bytes, padding(head.length + bytes.length)]);
}

const byPath = (a: Entry, b: Entry) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path));

/** Hard links by the path of the file whose bytes they share, in the order of the archive. */
function linkGroups(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    if (entry.type !== 'hardlink' && entry.type !== 'file') continue;
    const key = entry.type === 'hardlink' ? entry.target : entry.path;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return groups;
}

/**
 * Writes a newc archive (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst) piece by piece. The same
 * entries give the same bytes: sorted by path, numbered from 1, every time the same.
 * @param read the bytes of a file entry
 * @param mtime seconds, of everything
 * @throws RangeError when a hard link has no file in the archive, or a file is larger than the format can say
 */
export async function* cpioPieces(
  entries: readonly Entry[],
  read: (entry: Extract<Entry, { type: 'file' }>) => AsyncIterable<Uint8Array>,
  mtime = 0,
): AsyncGenerator<Uint8Array, void, undefined> {
  const sorted = entries.toSorted(byPath);
  const groups = linkGroups(sorted);
  const files = new Map(sorted.filter((entry) => entry.type === 'file').map((entry) => [entry.path, entry]));
  const inodes = new Map<string, number>();
  let nextInode = 1;
  let written = 0;
  const count = (piece: Uint8Array) => {
    written += piece.byteLength;
    return piece;
  };
  for (const entry of sorted) {
    const key = entry.type === 'hardlink' ? entry.target : entry.path;
    const group = groups.get(key) ?? [entry];
    const file = files.get(key);
    if (entry.type === 'hardlink' && file === undefined)
      throw new RangeError(`${entry.path} is a hard link to ${entry.target}, which is not in the archive`);
    // GNU cpio and the kernel both expect a linked file's bytes with the last of its names.
    const body = file !== undefined && group.at(-1) === entry ? file : undefined;
    const target = entry.type === 'symlink' ? encoder.encode(entry.target) : undefined;
    const size = body?.size ?? target?.byteLength ?? 0;
    if (size > MAX_FILE_BYTES)
      throw new RangeError(`${entry.path} has ${size} bytes, more than a cpio archive can hold`);
    const inode = inodes.get(key) ?? nextInode++;
    inodes.set(key, inode);
    const owner = file ?? entry;
    const device = entry.type === 'character' || entry.type === 'block' ? entry : { major: 0, minor: 0 };
    yield count(
      header(entry.path, {
        inode,
        mode: TYPE_BITS[entry.type] | owner.mode,
        uid: owner.uid,
        gid: owner.gid,
        links: entry.type === 'directory' ? 2 : group.length,
        mtime,
        size,
        major: device.major,
        minor: device.minor,
      }),
    );
    let length = 0;
    if (target !== undefined) yield count(target);
    if (body !== undefined && size > 0) {
      for await (const piece of read(body)) {
        length += piece.byteLength;
        yield count(piece);
      }
      if (length !== size) throw new RangeError(`${body.path} has ${length} bytes, not ${size}`);
    }
    yield count(padding(size));
  }
  yield count(
    header('TRAILER!!!', { inode: 0, mode: 0, uid: 0, gid: 0, links: 1, mtime: 0, size: 0, major: 0, minor: 0 }),
  );
  yield padding(written, 512);
}
