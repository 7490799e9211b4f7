import { randomBytes } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const DISK_BYTES = 12 * MIB;

/** A raw image with every kind of block: data, zeros long and short, and an end that is no whole block. */
const image = makeGuest(8 * MIB + 512 * 7, 42);
image.fill(0, 2 * MIB, 7 * MIB);
image.set(randomBytes(1000), 4 * MIB + 77);

let disk: DiskFile;
let server: ImageServer | undefined;

beforeEach(async () => {
  disk = await makeDiskFile(DISK_BYTES);
});
afterEach(async () => {
  await server?.close();
  await disk.close();
});

async function serve(behave: (index: number) => Partial<ServerBehaviour>): Promise<string> {
  server = await startImageServer((index) => ({ content: image, etag: '"one"', ...behave(index) }));
  return server.url;
}

async function failureOf(work: Promise<unknown>): Promise<AgentError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AgentError);
  return error as AgentError;
}

async function isWritten(): Promise<boolean> {
  return (await disk.content()).subarray(0, image.length).equals(image);
}

/** What a failed write did to the disk, as the disk shows it and as the message says. */
async function outcome(error: AgentError): Promise<string> {
  const content = await disk.content();
  const zeros = Buffer.alloc(MIB);
  if (content.equals(disk.before)) return error.details.includes('was not touched') ? 'untouched' : 'untouched, unsaid';
  const isCleared = content.subarray(0, MIB).equals(zeros) && content.subarray(-MIB).equals(zeros);
  if (!isCleared) return 'something is left';
  return error.details.includes('was cleared') ? 'cleared' : 'cleared, unsaid';
}

describe('writing a raw image', () => {
  test('gives the image’s bytes, clears the old backup table, and leaves the rest of the disk alone', async () => {
    const url = await serve(() => ({}));
    const written = await deliver(url, disk.device, { checksum: sha256(image), disk_format: 'raw' });
    expect(written).toMatchObject({ format: 'raw', imageBytes: image.length, wiped: 1 });
    expect(await isWritten()).toBe(true);
    const content = await disk.content();
    expect(content.subarray(image.length, -MIB).equals(disk.before.subarray(image.length, -MIB))).toBe(true);
    expect(content.subarray(-MIB).equals(Buffer.alloc(MIB))).toBe(true);
    expect(written.progress.at(-1)?.phase).toBe('flush');
    expect(written.progress.findLast(({ phase }) => phase === 'write image')).toMatchObject({
      done: image.length,
      total: image.length,
      unit: 'bytes',
    });
  });

  test('a dropped connection is taken up where it broke, under the same ETag', async () => {
    const url = await serve((index) => (index > 0 && index < 3 ? { dropAfter: 3 * MIB } : {}));
    await deliver(url, disk.device, { checksum: sha256(image) });
    expect(await isWritten()).toBe(true);
    expect(server?.requests.slice(0, 2)).toEqual([
      'GET /images/image.raw bytes=0-65535',
      'GET /images/image.raw whole',
    ]);
    expect(server?.requests).toHaveLength(4);
    expect(server?.requests.at(-1)).toMatch(/ bytes=[1-9]\d+-$/);
    expect(server?.headers.at(-1)?.['if-range']).toBe('"one"');
  });

  test('a server without Range starts anew after a drop, and the bytes that came twice are used once', async () => {
    const url = await serve((index) => ({ withoutRange: true, ...(index === 1 && { dropAfter: 5 * MIB }) }));
    await deliver(url, disk.device, { checksum: sha256(image) });
    expect(await isWritten()).toBe(true);
  });

  test('a server error, an answer that never comes and one that stalls are tried again', async () => {
    const url = await serve((index) => [{ status: 503 }, {}, { stallAfter: MIB }, {}][index] ?? {});
    await deliver(url, disk.device, { checksum: sha256(image) }, { timeoutMs: 300 });
    expect(await isWritten()).toBe(true);
  });

  test('an image that changes on the server is begun anew', async () => {
    const other = Buffer.from(image);
    other.set(randomBytes(MIB), MIB);
    const url = await serve((index) =>
      index < 2 ? { content: other, etag: '"old"', dropAfter: 3 * MIB } : { etag: '"new"' },
    );
    const written = await deliver(url, disk.device, { checksum: sha256(image) });
    expect(await isWritten()).toBe(true);
    expect(written.wiped).toBe(2);
    expect(written.progress.some(({ phase }) => phase === 'start again')).toBe(true);
  });

  test('the last byte of the disk may be the last byte of the image', async () => {
    const exact = makeGuest(DISK_BYTES, 3);
    server = await startImageServer(() => ({ content: exact }));
    await deliver(server.url, disk.device, { checksum: sha256(exact) });
    expect((await disk.content()).equals(exact)).toBe(true);
  });

  test('zeros at the end of the image go over what was on the disk', async () => {
    const sparse = Buffer.concat([makeGuest(3 * MIB, 8), Buffer.alloc(6 * MIB)]);
    server = await startImageServer(() => ({ content: sparse }));
    await deliver(server.url, disk.device, { checksum: sha256(sparse) });
    expect((await disk.content()).subarray(0, sparse.length).equals(sparse)).toBe(true);
  });

  test('an image smaller than the part that is withheld is written too', async () => {
    const small = makeGuest(700 * 512, 5);
    server = await startImageServer(() => ({ content: small }));
    await deliver(server.url, disk.device, { checksum: sha256(small) });
    expect((await disk.content()).subarray(0, small.length).equals(small)).toBe(true);
  });
});

describe('what is refused before the disk is touched', () => {
  const checksum = sha256(image);

  test('404, at once', async () => {
    const url = await serve(() => ({ status: 404 }));
    const error = await failureOf(deliver(url, disk.device, { checksum }));
    expect(error.type).toBe('ImageDownloadError');
    expect(error.details).toContain('it answered 404');
    expect(server?.requests).toHaveLength(1);
    expect((await disk.content()).equals(disk.before)).toBe(true);
  });

  test('a server that never answers', async () => {
    const url = await serve(() => ({ stallAfter: 0 }));
    const error = await failureOf(deliver(url, disk.device, { checksum }, { timeoutMs: 100, retries: 1 }));
    expect(error.details).toContain('2 times');
    expect((await disk.content()).equals(disk.before)).toBe(true);
  });

  test('an image larger than the disk', async () => {
    const large = Buffer.concat([image, Buffer.alloc(DISK_BYTES)]);
    server = await startImageServer(() => ({ content: large }));
    const error = await failureOf(deliver(server.url, disk.device, { checksum: sha256(large) }));
    expect(error.type).toBe('InvalidImage');
    expect(error.details).toContain(`it is ${large.length} bytes, the disk has ${DISK_BYTES}`);
    expect(await outcome(error)).toBe('untouched');
  });

  test('a qcow2 that is small as a file and larger than the disk', async () => {
    const guest = makeGuest(DISK_BYTES + MIB, 1);
    guest.fill(0, MIB);
    const file = makeQcow2({ guest, clusterBits: 16, version: 3, compression: 'zlib', compressed: 1, seed: 1 });
    server = await startImageServer(() => ({ content: file }));
    expect(await outcome(await failureOf(deliver(server.url, disk.device, { checksum: sha256(file) })))).toBe(
      'untouched',
    );
  });

  test('a page that is no image', async () => {
    const page = Buffer.from(`<html>${'please log in '.repeat(100)}</html>`);
    server = await startImageServer(() => ({ content: page }));
    const error = await failureOf(deliver(server.url, disk.device, { checksum: sha256(page), disk_format: 'raw' }));
    expect(error.type).toBe('InvalidImage');
    expect(error.details).toContain('no partition table');
    expect(await outcome(error)).toBe('untouched');
  });

  test('a format that is not what was asked for', async () => {
    const url = await serve(() => ({}));
    const error = await failureOf(deliver(url, disk.device, { checksum, disk_format: 'qcow2' }));
    expect(error.details).toContain('disk_format is qcow2');
    expect(await outcome(error)).toBe('untouched');
  });

  test('a raw image of which nobody knows the length', async () => {
    const url = await serve(() => ({ withoutRange: true, withoutLength: true }));
    expect(await outcome(await failureOf(deliver(url, disk.device, { checksum })))).toBe('untouched');
  });

  test('an answer in another encoding', async () => {
    const url = await serve(() => ({ headers: { 'content-encoding': 'gzip' } }));
    const error = await failureOf(deliver(url, disk.device, { checksum }));
    expect(error.details).toContain('Content-Encoding gzip');
  });
});

describe('what fails after writing began leaves a disk that does not boot', () => {
  test('a wrong checksum', async () => {
    const url = await serve(() => ({}));
    const error = await failureOf(deliver(url, disk.device, { checksum: '0'.repeat(64) }));
    expect(error.type).toBe('ImageChecksumError');
    expect(error.details).toContain(sha256(image));
    expect(await outcome(error)).toBe('cleared');
  });

  test('a file that is shorter than the server says', async () => {
    const url = await serve((index) => (index === 0 ? {} : { dropAfter: 3 * MIB, withoutRange: true }));
    const error = await failureOf(deliver(url, disk.device, { checksum: sha256(image) }));
    expect(error.type).toBe('ImageDownloadError');
    expect(await outcome(error)).toBe('cleared');
  });

  test('a body that ends early without any error of the connection', async () => {
    const short = { content: image.subarray(0, 3 * MIB), withoutRange: true, withoutLength: true };
    const url = await serve((index) => (index === 0 ? {} : short));
    const error = await failureOf(deliver(url, disk.device, { checksum: sha256(image) }));
    expect(error.details).toContain(`the connection ended at byte ${3 * MIB} of ${image.length}`);
    expect(await outcome(error)).toBe('cleared');
  });

  test('a server that stalls in the middle for good', async () => {
    const url = await serve((index) => (index === 0 ? {} : { stallAfter: 0 }));
    const error = await failureOf(deliver(url, disk.device, { checksum: sha256(image) }, { timeoutMs: 200 }));
    expect(await outcome(error)).toBe('cleared');
  });

  test('a disk that fails while it is written', async () => {
    const url = await serve(() => ({}));
    const write: typeof disk.device.write = async (buffer, position) => {
      if (position > 6 * MIB) throw new AgentError('BlockDeviceError', 'cannot write the disk at sector 12345: EIO');
      await disk.device.write(buffer, position);
    };
    const error = await failureOf(deliver(url, { ...disk.device, write }, { checksum: sha256(image) }));
    expect(error.type).toBe('BlockDeviceError');
    expect(error.details).toContain('sector 12345');
    expect(await outcome(error)).toBe('cleared');
  });

  test('an agent that is stopped', async () => {
    const controller = new AbortController();
    const url = await serve((index) => (index === 0 ? {} : { stallAfter: 4 * MIB }));
    const wipe = async () => void setTimeout(() => controller.abort(new Error('the agent stops')), 200);
    const work = deliver(url, disk.device, { checksum: sha256(image) }, { signal: controller.signal, wipe });
    const error = await failureOf(work);
    expect(error.details).toContain('the agent stops');
    expect(await outcome(error)).toBe('cleared');
  });

  test('until the checksum is verified the first and last MiB of the disk hold nothing', async () => {
    const url = await serve(() => ({}));
    const seen: boolean[] = [];
    const write: typeof disk.device.write = async (buffer, position) => {
      if (position >= MIB && position < image.length - MIB) {
        const content = await disk.content();
        seen.push(
          content.subarray(0, MIB).equals(Buffer.alloc(MIB)) && content.subarray(-MIB).equals(Buffer.alloc(MIB)),
        );
      }
      await disk.device.write(buffer, position);
    };
    await deliver(url, { ...disk.device, write }, { checksum: sha256(image) });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen).not.toContain(false);
    expect(await isWritten()).toBe(true);
  });
});
