import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterEach, beforeEach, expect, test } from 'vitest';

import type { AgentError } from '../../../agent/api/errors.ts';
import { openRegularFile } from '../../../agent/os/regular-file.ts';
import { openFileSource } from '../../../agent/image/file-source.ts';
import { ImageChanged } from '../../../agent/image/source.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const image = makeGuest(3 * MIB + 512, 4);
const signal = new AbortController().signal;
let disk: DiskFile;
let folder: string;
let path: string;

beforeEach(async () => {
  disk = await makeDiskFile(4 * MIB);
  folder = await mkdtemp(join(tmpdir(), 'ingot-file-source-'));
  await mkdir(join(folder, 'images'));
  path = join(folder, 'images/my image#1.raw');
  await writeFile(path, image);
});
afterEach(async () => {
  await disk.close();
  await rm(folder, { recursive: true });
});

const open = (file: string, folders: readonly string[] = [folder]) =>
  openFileSource(pathToFileURL(file).href, { openFile: openRegularFile }, folders);

test('a file of this machine is written, with a checksum file beside it', async () => {
  await writeFile(`${path}.sums`, `${sha256(image)}  my image#1.raw\n`);
  await deliver(
    pathToFileURL(path).href,
    disk.device,
    { checksum: pathToFileURL(`${path}.sums`).href },
    { fileFolders: [folder] },
  );
  expect((await disk.content()).subarray(0, image.length).equals(image)).toBe(true);
});

test('parts of a file are read as asked for', async () => {
  const source = await open(path);
  const parts: Buffer[] = [];
  for await (const part of source.read(
    [
      { position: 5, length: 7 },
      { position: 2 * MIB, length: 900_000 },
    ],
    signal,
  ))
    parts.push(Buffer.from(part));
  expect(parts).toEqual([image.subarray(5, 12), image.subarray(2 * MIB, 2 * MIB + 900_000)]);
  expect(source).toMatchObject({ sizeBytes: image.length, name: path, hasRanges: true });
  await source.close();
});

test('files outside the folders that images may lie in are refused, also behind a link', async () => {
  await writeFile(join(folder, 'secret'), 'token');
  await symlink(join(folder, 'secret'), join(folder, 'images/link.raw'));
  const images = [join(folder, 'images')];
  await expect(open(join(folder, 'images/link.raw'), images)).rejects.toThrow('images are read from');
  await expect(open(`${folder}/images/../secret`, images)).rejects.toThrow('images are read from');
  await expect(open(`${folder}/images-of-others`, images)).rejects.toThrow('ENOENT');
  await expect(open(path, [])).rejects.toThrow('no folder of this machine');
});

test.each([
  ['/dev/null', 'no regular file'],
  ['/proc', 'no regular file'],
])('%s is refused: %s', async (file, why) => {
  await expect(open(file, ['/'])).rejects.toThrow(why);
});

test('a host in the URL is refused', async () => {
  const refused = openFileSource('file://server/share/image.raw', { openFile: openRegularFile }, ['/']);
  await expect(refused).rejects.toThrow('file:///PATH');
});

test.each([
  ['grows', () => appendFile(path, randomBytes(10))],
  ['shrinks', () => truncate(path, 1024)],
  ['is overwritten', () => writeFile(path, randomBytes(image.length))],
])('a file that %s while it is read is an error', async (_, change) => {
  const source = await open(path);
  const read = async () => {
    for await (const bytes of source.stream(signal)) if (bytes.length > 0) await change();
  };
  await expect(read()).rejects.toThrow(ImageChanged);
  await source.close();
});

test('the request for a file that is not allowed does not touch the disk', async () => {
  const error = (await deliver(pathToFileURL(path).href, disk.device, { checksum: sha256(image) }).catch(
    (reason: unknown) => reason,
  )) as AgentError;
  expect(error.details).toContain('no folder of this machine');
  expect((await disk.content()).equals(disk.before)).toBe(true);
});
