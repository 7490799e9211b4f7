import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { cpioPieces } from '../../../builder/archive/cpio.ts';
import type { Entry, FileEntry } from '../../../builder/archive/entry.ts';
import { readEntry } from '../../../builder/tree/bytes.ts';
import { fileEntry } from '../../../builder/tree/tree.ts';
import { systemRun } from '../../../system/run.ts';

async function pack(entries: readonly Entry[], mtime?: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of cpioPieces(entries, readEntry, mtime)) pieces.push(piece);
  return Buffer.concat(pieces);
}

type Row = {
  name: string;
  inode: number;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  mtime: number;
  rdev: [number, number];
  data: Buffer;
};

/** A reader of its own, from the format's description, so that writer and reader cannot be wrong in the same way. */
function unpack(archive: Buffer): Row[] {
  const rows: Row[] = [];
  for (let at = 0; ;) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const field = (n: number) => Number.parseInt(archive.toString('latin1', at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const [nameSize, size] = [field(11), field(6)];
    const name = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    const dataAt = (at + 110 + nameSize + 3) & ~3;
    if (name === 'TRAILER!!!') return rows;
    rows.push({
      name,
      inode: field(0),
      mode: field(1),
      uid: field(2),
      gid: field(3),
      links: field(4),
      mtime: field(5),
      rdev: [field(9), field(10)],
      data: archive.subarray(dataAt, dataAt + size),
    });
    at = (dataAt + size + 3) & ~3;
  }
}

function bodyOf(entry: Entry): Uint8Array {
  if (entry.type === 'file' && entry.content.kind === 'bytes') return entry.content.bytes;
  return Buffer.from(entry.type === 'symlink' ? entry.target : '');
}

const name = fc.stringMatching(/^[a-zA-Z0-9_.é-]{1,12}$/).filter((text) => text !== '.' && text !== '..');
const owner = { mode: fc.integer({ min: 0, max: 0o7777 }), uid: fc.nat(70_000), gid: fc.nat(70_000) };
const entry = fc.oneof(
  fc
    .record({ path: name, ...owner, bytes: fc.uint8Array({ maxLength: 300 }) })
    .map(({ bytes, ...rest }): Entry => ({ ...fileEntry(rest.path, bytes), ...rest })),
  fc.record({ path: name, ...owner, target: name }).map((one): Entry => ({ ...one, type: 'symlink' })),
  fc.record({ path: name, ...owner }).map((one): Entry => ({ ...one, type: 'directory' })),
  fc
    .record({ path: name, ...owner, major: fc.nat(4000), minor: fc.nat(4000) })
    .map((one): Entry => ({ ...one, type: 'character' })),
);
const entries = fc.uniqueArray(entry, { selector: (one) => one.path, maxLength: 20 });

describe('cpio archives', () => {
  test('say everything about every entry, in order of paths', async () => {
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const archive = await pack(list);
        expect(archive.length % 512).toBe(0);
        const rows = unpack(archive);
        expect(rows.map((row) => row.name)).toEqual(
          list.map((one) => one.path).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        );
        for (const row of rows) {
          const one = list.find((candidate) => candidate.path === row.name) as Entry;
          expect([row.mode & 0o7777, row.uid, row.gid, row.mtime]).toEqual([one.mode, one.uid, one.gid, 0]);
          expect(row.data.toString('hex')).toBe(Buffer.from(bodyOf(one)).toString('hex'));
          expect(row.rdev).toEqual(one.type === 'character' ? [one.major, one.minor] : [0, 0]);
        }
      }),
    );
  });

  test('are the same bytes whatever the order of the entries', async () => {
    await fc.assert(
      fc.asyncProperty(entries, fc.infiniteStream(fc.nat(1000)), async (list, keys) => {
        const shuffled = list
          .map((one) => ({ one, key: keys.next().value as number }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ one }) => one);
        expect((await pack(shuffled)).equals(await pack(list))).toBe(true);
      }),
    );
  });

  test('keep hard links together: one number, and the bytes with the last name', async () => {
    const file: FileEntry = fileEntry('usr/a', 'hello', 0o755);
    const link = (path: string): Entry => ({ path, mode: 0, uid: 0, gid: 0, type: 'hardlink', target: 'usr/a' });
    const rows = unpack(await pack([link('usr/z'), file, link('usr/b')]));
    expect(rows.map((row) => [row.name, row.links, row.data.toString(), row.mode & 0o7777])).toEqual([
      ['usr/a', 3, '', 0o755],
      ['usr/b', 3, '', 0o755],
      ['usr/z', 3, 'hello', 0o755],
    ]);
    expect(new Set(rows.map((row) => row.inode)).size).toBe(1);
  });

  test('refuse a hard link to nothing, and a file that is not as long as it says', async () => {
    await expect(pack([{ path: 'a', mode: 0, uid: 0, gid: 0, type: 'hardlink', target: 'b' }])).rejects.toThrow(
      'not in the archive',
    );
    await expect(pack([{ ...fileEntry('a', 'four'), size: 5 }])).rejects.toThrow('has 4 bytes, not 5');
  });

  test('are read by the cpio program', async () => {
    const archive = await pack([
      { path: 'dev', mode: 0o755, uid: 0, gid: 0, type: 'directory' },
      { path: 'dev/console', mode: 0o600, uid: 0, gid: 5, type: 'character', major: 5, minor: 1 },
      { path: 'init', mode: 0o777, uid: 0, gid: 0, type: 'symlink', target: 'usr/bin/busybox' },
      { ...fileEntry('etc-motd', 'hello\n', 0o640), uid: 12 },
    ]);
    // A process on purpose: the kernel's own reader is the model, and this is the nearest thing to it that a test can ask.
    const { stdout } = await systemRun('cpio', ['-tvn', '--quiet'], { input: archive });
    const listing = stdout.trimEnd().split('\n');
    expect(listing.map((line) => line.replace(/\s+/g, ' '))).toEqual([
      expect.stringMatching(/^drwxr-xr-x 2 0 0 0 .* dev$/),
      expect.stringMatching(/^crw------- 1 0 5 5, 1 .* dev\/console$/),
      expect.stringMatching(/^-rw-r----- 1 12 0 6 .* etc-motd$/),
      expect.stringMatching(/^lrwxrwxrwx 1 0 0 15 .* init -> usr\/bin\/busybox$/),
    ]);
  });
});
