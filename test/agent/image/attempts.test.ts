import { createHash, randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const image = makeGuest(8 * MIB, 7);
const stale = Buffer.from(image);
stale.set(randomBytes(1000), 5 * MIB);
const checksum = sha256(image);

let disk: DiskFile;
let servers: ImageServer[] = [];
beforeEach(async () => {
  disk = await makeDiskFile(10 * MIB);
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  await disk.close();
});

async function serve(behave: (index: number) => Partial<ServerBehaviour>): Promise<string> {
  const server = await startImageServer((index) => ({ content: image, etag: '"one"', ...behave(index) }));
  servers.push(server);
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

const isWritten = async () => (await disk.content()).subarray(0, image.length).equals(image);
const isCleared = async () => {
  const content = await disk.content();
  const zeros = Buffer.alloc(MIB);
  return content.subarray(0, MIB).equals(zeros) && content.subarray(-MIB).equals(zeros);
};

describe('several sources of one image', () => {
  test('the first that has it is used, and those after it are not asked', async () => {
    const urls = [await serve(() => ({ status: 404 })), await serve(() => ({})), await serve(() => ({}))];
    const written = await deliver(urls, disk.device, { checksum });
    expect(await isWritten()).toBe(true);
    expect(servers.map(({ requests }) => requests.length)).toEqual([1, 2, 0]);
    expect(written.wiped).toBe(1);
    expect(written.progress.find(({ phase }) => phase === 'next source')?.message).toContain('it answered 404');
  });

  test('when one breaks off for good in the middle, the next starts anew on a disk without a partition table', async () => {
    const cleared: boolean[] = [];
    const urls = [await serve((index) => (index === 0 ? {} : { dropAfter: MIB / 32 })), await serve(() => ({}))];
    const wipe = async () => void cleared.push(await isCleared());
    const written = await deliver(urls, disk.device, { checksum }, { wipe });
    expect(await isWritten()).toBe(true);
    expect(written.wiped).toBe(2);
    expect(cleared).toEqual([false, true]);
  });

  test('one with other bytes than the checksum says is left for the next', async () => {
    const urls = [await serve(() => ({ content: stale })), await serve(() => ({}))];
    await deliver(urls, disk.device, { checksum });
    expect(await isWritten()).toBe(true);
  });

  test('a page where the image should be is left for the next', async () => {
    const page = Buffer.from(`<html>${'please log in '.repeat(100)}</html>`);
    const urls = [await serve(() => ({ content: page })), await serve(() => ({}))];
    expect((await deliver(urls, disk.device, { checksum, disk_format: 'raw' })).wiped).toBe(1);
    expect(await isWritten()).toBe(true);
  });

  test('when none has it, each is named with its reason', async () => {
    const urls = [await serve(() => ({ status: 404 })), await serve(() => ({ status: 403 }))];
    const error = await failureOf(deliver(urls, disk.device, { checksum }));
    expect(error.type).toBe('ImageDownloadError');
    expect(error.details).toMatch(/any of 2 sources: \(1\) .* answered 404.* \(2\) .* answered 403.*not touched/);
    expect((await disk.content()).equals(disk.before)).toBe(true);
  });

  test('after a source that broke off in the middle nobody says that the disk was not touched', async () => {
    const urls = [
      await serve((index) => (index === 0 ? {} : { dropAfter: 100 })),
      await serve(() => ({ status: 404 })),
    ];
    const error = await failureOf(deliver(urls, disk.device, { checksum }));
    expect(error.details).toContain('the partition table of');
    expect(error.details).not.toContain('not touched');
    expect(await isCleared()).toBe(true);
  });

  test('a disk that fails is the same for every source', async () => {
    const urls = [await serve(() => ({})), await serve(() => ({}))];
    const write = () => Promise.reject(new AgentError('BlockDeviceError', 'cannot write the disk at sector 1: EIO'));
    const error = await failureOf(deliver(urls, { ...disk.device, write }, { checksum }));
    expect(error.type).toBe('BlockDeviceError');
    expect(servers[1]?.requests).toEqual([]);
  });
});

describe('a source that breaks off for good in the middle', () => {
  const reprDigest = (bytes: Buffer) => ({
    'repr-digest': `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`,
  });
  const broken = (index: number) => (index === 0 ? {} : index === 1 ? { dropAfter: 5 * MIB } : { status: 404 });

  test.each<[string, Partial<ServerBehaviour>, string]>([
    ['Repr-Digest', { headers: reprDigest(image) }, '/disk.raw'],
    ['Artifactory’s header', { headers: { 'x-checksum-sha256': checksum } }, '/disk.raw'],
    ['its address in a registry', {}, `/v2/lab/disk/blobs/sha256:${checksum}`],
  ])('is gone on with at the same byte where the next is the same file for certain: %s', async (_, same, path) => {
    const urls = [await serve((index) => ({ ...same, ...broken(index) })), await serve(() => same)];
    const written = await deliver(
      urls.map((url) => new URL(path, url).href),
      disk.device,
      { checksum },
    );
    expect(await isWritten()).toBe(true);
    expect(written.wiped).toBe(1);
    expect(servers[1]?.requests.map((line) => line.split(' ')[2])).toEqual(['bytes=0-65535', `bytes=${5 * MIB}-`]);
    expect(written.progress.some(({ phase }) => phase === 'next source')).toBe(true);
  });

  test.each<[string, Partial<ServerBehaviour>, Partial<ServerBehaviour>]>([
    ['the same ETag, name and size', {}, {}],
    ['a digest of one alone', { headers: reprDigest(image) }, {}],
    [
      'a digest of a part',
      { headers: { 'content-digest': 'sha-256=:x:' } },
      { headers: { 'content-digest': 'sha-256=:x:' } },
    ],
    ['different digests', { headers: reprDigest(stale) }, { headers: reprDigest(image) }],
  ])('is begun anew with the next where that is not certain: %s', async (_, first, second) => {
    const urls = [await serve((index) => ({ ...first, ...broken(index) })), await serve(() => second)];
    const written = await deliver(urls, disk.device, { checksum });
    expect(await isWritten()).toBe(true);
    expect(written.wiped).toBe(2);
    expect(servers[1]?.requests.at(-1)).toContain('whole');
  });

  test('wherever sources break, what is written is the image or the disk has no partition table', async () => {
    const source = fc.record({ dropAfter: fc.nat(image.length), isSaid: fc.boolean(), withoutRange: fc.boolean() });
    let good = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(source, { minLength: 1, maxLength: 3 }), async (list) => {
        servers = [];
        const urls: string[] = [];
        for (const { dropAfter, isSaid, withoutRange } of list)
          urls.push(
            await serve((index) => ({
              withoutRange,
              ...(isSaid && { headers: reprDigest(image) }),
              ...(index > 0 && { dropAfter: Math.round(dropAfter / index) }),
            })),
          );
        const result = await deliver(urls, disk.device, { checksum }, { retries: 1 }).catch(
          (reason: unknown) => reason,
        );
        const isGood = !(result instanceof Error);
        if (isGood) good++;
        expect(isGood ? await isWritten() : await isCleared()).toBe(true);
        for (const server of servers) await server.close();
        servers = [];
      }),
      { numRuns: 12 },
    );
    expect(good).toBeGreaterThan(0);
  });
});

describe('a wrong checksum of the only source', () => {
  test('is tried once more past every cache, and may be right then', async () => {
    const url = await serve((index) => (index < 2 ? { content: stale } : {}));
    await deliver(url, disk.device, { checksum });
    expect(await isWritten()).toBe(true);
    expect(servers[0]?.headers.map((headers) => headers['cache-control'])).toEqual([
      undefined,
      undefined,
      'no-cache',
      'no-cache',
    ]);
  });

  test('that is the same twice says that checksum and file do not belong together', async () => {
    const error = await failureOf(deliver(await serve(() => ({ content: stale })), disk.device, { checksum }));
    expect(error.type).toBe('ImageChecksumError');
    expect(error.details).toContain(sha256(stale));
    expect(error.details).toContain('do not belong together');
    expect(servers[0]?.requests).toHaveLength(4);
    expect(await isCleared()).toBe(true);
  });

  test('that is another each time says that something alters bytes', async () => {
    const url = await serve(() => {
      const content = Buffer.from(image);
      content.set(randomBytes(8), 6 * MIB);
      return { content };
    });
    const error = await failureOf(deliver(url, disk.device, { checksum }));
    expect(error.details).toContain('alters bytes');
    expect(await isCleared()).toBe(true);
  });
});

describe('a file that cannot be unpacked', () => {
  const qcow2 = makeQcow2({ guest: image, clusterBits: 16, version: 3, compression: 'zlib', compressed: 1, seed: 3 });
  const gzip = gzipSync(image, { level: 1 });
  /** More than a cluster in the middle has bits that begin no block of deflate (RFC 1951, 3.2.3: type 3). */
  const damaged = (file: Buffer) => {
    const middle = Math.floor(file.length / 2);
    return Buffer.from(file).fill(0xff, middle, middle + 80_000);
  };
  const firstDamaged = (file: Buffer) =>
    startImageServer((_, { headers }) => ({
      content: headers['cache-control'] === 'no-cache' ? file : damaged(file),
      etag: '"one"',
    }));

  test.each([
    ['qcow2', qcow2],
    ['gzip', gzip],
  ])('%s whose checksum is wrong, too, was damaged on its way, and is fetched once more', async (_, file) => {
    const server = await firstDamaged(file);
    servers.push(server);
    const { progress } = await deliver(server.url, disk.device, { checksum: sha256(file) });
    expect(await isWritten()).toBe(true);
    expect(progress.find(({ phase }) => phase === 'start again')?.message).toContain(`should be ${sha256(file)}`);
  });

  test.each([
    ['qcow2', qcow2, { checksum: sha256(damaged(qcow2)) }],
    ['gzip', gzip, { checksum: sha256(damaged(gzip)) }],
  ])('%s whose checksum is right is what its publisher made: once is enough', async (_, file, info) => {
    const url = await serve(() => ({ content: damaged(file) }));
    const { type, details } = await failureOf(deliver(url, disk.device, info));
    expect(type).toBe('InvalidImage');
    expect(details).toMatch(/unpack/);
    expect(servers[0]?.headers.some((headers) => headers['cache-control'] === 'no-cache')).toBe(false);
    expect(await isCleared()).toBe(true);
  });

  test('twice in different ways says that something alters bytes', async () => {
    let count = 0;
    const url = await serve(() => {
      const content = damaged(qcow2);
      content.writeUInt32BE(count++, Math.floor(content.length / 2));
      return { content };
    });
    const { type, details } = await failureOf(deliver(url, disk.device, { checksum: sha256(qcow2) }));
    expect({ type, details }).toEqual({
      type: 'ImageChecksumError',
      details: expect.stringContaining('alters bytes') as unknown,
    });
    expect(await isCleared()).toBe(true);
  });
});
