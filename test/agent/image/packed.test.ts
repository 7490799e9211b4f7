import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { systemRunBytes } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const DISK_BYTES = 5 * MIB;

const image = makeGuest(3 * MIB + 512 * 7, 42);
image.fill(0, MIB, 2 * MIB);
image.set(randomBytes(MIB / 2), 2 * MIB);

/** Two parts each, as programs that pack side by side make them. */
const inTwo = (pack: (bytes: Buffer) => Buffer) => (bytes: Buffer) =>
  Buffer.concat([pack(bytes.subarray(0, bytes.length >> 1)), pack(bytes.subarray(bytes.length >> 1))]);
const byProgram = (program: string) => async (bytes: Buffer) =>
  Buffer.from(await systemRunBytes(program, ['-1', '-c'], { input: bytes }));
const PACK = {
  gzip: inTwo(gzipSync),
  zstd: inTwo(zstdCompressSync),
  xz: byProgram('xz'),
  bzip2: byProgram('bzip2'),
};
const NAMES = Object.keys(PACK) as (keyof typeof PACK)[];

let disk: DiskFile;
let server: ImageServer | undefined;
beforeEach(async () => {
  disk = await makeDiskFile(DISK_BYTES);
});
afterEach(async () => {
  await server?.close();
  await disk.close();
});

async function serve(content: Buffer, behave: (index: number) => Partial<ServerBehaviour> = () => ({})) {
  server = await startImageServer((index) => ({ content, etag: '"one"', ...behave(index) }));
  return server.url;
}

/** What a failed delivery says, once it is sure that the disk is as it was, or boots nothing. */
async function failureOf(work: Promise<unknown>): Promise<AgentError> {
  const error = await work.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AgentError);
  const { details } = error as AgentError;
  const content = await disk.content();
  const isClear = [content.subarray(0, MIB), content.subarray(-MIB)].every((end) => end.equals(Buffer.alloc(MIB)));
  expect(content.equals(disk.before) ? details.includes('was not touched') : isClear).toBe(true);
  return error as AgentError;
}

describe.each(NAMES)('an image in %s', (name) => {
  test('that is raw is unpacked, and the checksum is that of the file', async () => {
    const file = await PACK[name](image);
    const url = await serve(file, (index) => (index === 2 ? { dropAfter: 100_000 } : {}));
    const written = await deliver(url, disk.device, { checksum: sha256(file), disk_format: 'raw' });
    expect(written).toMatchObject({
      format: 'raw',
      compression: name,
      imageBytes: image.length,
      fileBytes: file.length,
      wiped: 1,
    });
    const content = await disk.content();
    expect(content.subarray(0, image.length).equals(image)).toBe(true);
    expect(content.subarray(image.length, -MIB).equals(disk.before.subarray(image.length, -MIB))).toBe(true);
    expect(written.progress.findLast(({ phase }) => phase === 'write image')).toMatchObject({
      done: file.length,
      total: file.length,
    });
  });

  test('that is qcow2 is unpacked and read', async () => {
    const qcow2 = makeQcow2({
      guest: image,
      clusterBits: 16,
      version: 3,
      compression: 'zlib',
      compressed: 0.2,
      seed: 4,
    });
    const file = await PACK[name](qcow2);
    const url = await serve(file, () => ({ withoutRange: true, withoutLength: true }));
    const written = await deliver(url, disk.device, { checksum: sha256(file) });
    expect(written).toMatchObject({ format: 'qcow2', compression: name, imageBytes: image.length });
    expect((await disk.content()).subarray(0, image.length).equals(image)).toBe(true);
    expect(written.progress.findLast(({ phase }) => phase === 'write image')).toEqual({
      phase: 'write image',
      done: file.length,
      unit: 'bytes',
    });
  });

  test('that is damaged is found, and the disk does not boot', async () => {
    const file = Buffer.from(await PACK[name](image));
    const checksum = sha256(file);
    expect((await failureOf(deliver(await serve(file), disk.device, { checksum: sha256(image) }))).type).toBe(
      'ImageChecksumError',
    );
    await server?.close();
    file[file.length - 200_000] = (file.at(-200_000) ?? 0) ^ 4;
    expect(['InvalidImage', 'ImageChecksumError']).toContain(
      (await failureOf(deliver(await serve(file), disk.device, { checksum }))).type,
    );
    await server?.close();
    // Its checksum is right: the file was cut off before somebody published it.
    const cut = file.subarray(0, -300_000);
    const error = await failureOf(deliver(await serve(cut), disk.device, { checksum: sha256(cut) }));
    expect(error.details).toContain(`cannot unpack the image (${name})`);
  });

  test('that is larger than the disk is refused as soon as that shows', async () => {
    const file = await PACK[name](Buffer.concat([image, Buffer.alloc(6 * MIB)]));
    const error = await failureOf(deliver(await serve(file), disk.device, { checksum: sha256(file) }));
    expect(error.type).toBe('InvalidImage');
    expect(error.details).toMatch(/it is more than \d+ bytes, the disk has 5242880/);
  });
});

test('an image that is exactly as large as the disk has its backup table held back, too', async () => {
  const exact = makeGuest(DISK_BYTES, 3);
  const file = zstdCompressSync(exact);
  const lasts: boolean[] = [];
  const write: typeof disk.device.write = async (buffer, position) => {
    lasts.push((await disk.content()).subarray(-MIB).equals(Buffer.alloc(MIB)));
    await disk.device.write(buffer, position);
  };
  await deliver(await serve(file), { ...disk.device, write }, { checksum: sha256(file) });
  expect((await disk.content()).equals(exact)).toBe(true);
  // The last two writes of all are the first MiB, its first sectors at the very end; before them comes the last MiB.
  expect(lasts.slice(0, -2)).not.toContain(false);
  expect(lasts.slice(-2)).toEqual([false, false]);
});

test('what is in the file must be what was asked for', async () => {
  const file = gzipSync(image);
  const error = await failureOf(
    deliver(await serve(file), disk.device, { checksum: sha256(file), disk_format: 'qcow2' }),
  );
  expect(error.details).toContain('disk_format is qcow2');
  await server?.close();
  const twice = gzipSync(zstdCompressSync(image));
  const other = await failureOf(deliver(await serve(twice), disk.device, { checksum: sha256(twice) }));
  expect(other.details).toContain('compressed twice');
  await server?.close();
  const page = gzipSync('<html>please log in</html>');
  expect((await failureOf(deliver(await serve(page), disk.device, { checksum: sha256(page) }))).details).toContain(
    'no partition table',
  );
});
