import { randomBytes } from 'node:crypto';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { type Compression, findCompression, unpack } from '../../../agent/image/compression.ts';
import { systemFilter } from '../../../system/filter.ts';
import { systemRunBytes } from '../../../system/run.ts';
import { makeGuest } from '../../fakes/qcow2.ts';

const never = new AbortController().signal;
const MIB = 1024 ** 2;

/** Each by who made it well known; the other half of ours. */
const PACK: Record<Compression, (bytes: Buffer) => Promise<Buffer>> = {
  gzip: async (bytes) => gzipSync(bytes),
  zstd: async (bytes) => zstdCompressSync(bytes),
  xz: async (bytes) => Buffer.from(await systemRunBytes('xz', ['-1', '-c'], { input: bytes })),
  bzip2: async (bytes) => Buffer.from(await systemRunBytes('bzip2', ['-1', '-c'], { input: bytes })),
};
/** The ramdisk has busybox's programs in place of those of the packages, and they differ in what they take for an error. */
const busybox: typeof systemFilter = (file, args, input, signal) =>
  systemFilter('busybox', [file, ...args], input, signal);
const CASES: [string, Compression, typeof systemFilter, isLong?: boolean][] = [
  ['gzip', 'gzip', systemFilter],
  ['zstd', 'zstd', systemFilter],
  ['gzip in a thread', 'gzip', systemFilter, true],
  ['zstd in a thread', 'zstd', systemFilter, true],
  ['xz', 'xz', systemFilter],
  ['xz of busybox', 'xz', busybox],
  ['bzip2', 'bzip2', systemFilter],
  ['bzip2 of busybox', 'bzip2', busybox],
];

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

type Options = { filter?: typeof systemFilter; sizes?: readonly number[]; mostBytes?: number; isLong?: boolean };

async function unpackAll(name: Compression, file: Buffer, options: Options = {}) {
  const { filter = systemFilter, sizes = [65_536], mostBytes = 64 * MIB, isLong = false } = options;
  const parts: Uint8Array[] = [];
  for await (const bytes of unpack(name, inChunks(file, sizes), { filter, mostBytes, isLong }, never))
    parts.push(Buffer.from(bytes));
  return Buffer.concat(parts);
}

describe.each(CASES)('%s', (_, name, filter, isLong = false) => {
  const content = makeGuest(400_000, 5);

  test(
    'is recognised, and unpacks however it is cut and of however many parts it is',
    { timeout: 60_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 0, max: 150_000 }), { minLength: 1, maxLength: 4 }),
          fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 5 }),
          fc.boolean(),
          async (lengths, sizes, isCutAtParts) => {
            const parts = lengths.map((length, index) => content.subarray(index * 1000, index * 1000 + length));
            const packed = await Promise.all(parts.map((part) => PACK[name](part)));
            // A single empty member has no block to be recognised by in bzip2; nobody ships one.
            const isEmptyBzip2 = name === 'bzip2' && lengths[0] === 0;
            expect(findCompression(packed[0] ?? Buffer.alloc(0))).toBe(isEmptyBzip2 ? undefined : name);
            const cuts = isCutAtParts ? packed.map(({ length }) => length) : sizes;
            expect(
              (
                await unpackAll(name, Buffer.concat(packed), {
                  filter,
                  sizes: isLong ? cuts.map((cut) => cut + 500) : cuts,
                  isLong,
                })
              ).equals(Buffer.concat(parts)),
            ).toBe(true);
          },
        ),
        { numRuns: 8 },
      );
    },
  );

  test('cut off anywhere, or going on after its end, is an error', async () => {
    const file = await PACK[name](content);
    const noise = await PACK[name](randomBytes(MIB));
    const tail = (bytes: string | Buffer) => Buffer.concat([file, Buffer.from(bytes)]);
    const damaged: [string, Buffer][] = [
      ...[1, 2, 5, 9, 13, 1000, file.length >> 1, file.length - 20].map((less): [string, Buffer] => [
        `${less} bytes less`,
        file.subarray(0, -less),
      ]),
      ['a letter more', tail('x')],
      ['words more', tail('junk'.repeat(50))],
      ...[1, 2001, 200_001].map((more): [string, Buffer] => [`${more} zeros more`, tail(Buffer.alloc(more))]),
      ['the beginning of another', tail(file.subarray(0, 5))],
      ['half of another', tail(file.subarray(0, -3))],
      // busybox reads no further then, which shows when what follows is more than a pipe holds.
      ['words between two', Buffer.concat([file, Buffer.from('junk'), noise])],
    ];
    const outcomes = await Promise.all(
      damaged.map(async ([what, bytes]) => [
        what,
        await unpackAll(name, bytes, { filter, isLong }).then(
          ({ length }) => `${length} bytes`,
          (error: unknown) => (error instanceof AgentError ? error.type : error),
        ),
      ]),
    );
    expect(outcomes).toEqual(damaged.map(([what]) => [what, 'InvalidImage']));
  });

  test('with a flipped bit gives the same bytes or an error, never a hang', { timeout: 60_000 }, async () => {
    const file = await PACK[name](content.subarray(0, 60_000));
    let errors = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length * 8 - 1), async (bit) => {
        const damaged = Buffer.from(file);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const result = await unpackAll(name, damaged, { filter, isLong }).catch((error: unknown) => error);
        // What is in a checksum that is not kept, or in a name, does no harm here; the checksum of the file finds it.
        expect(result instanceof AgentError || result instanceof Buffer).toBe(true);
        if (result instanceof AgentError) errors++;
      }),
      { numRuns: 15 },
    );
    expect(errors).toBeGreaterThan(1);
  });

  test('that unpacks to more than there is room for is stopped there', async () => {
    const bomb = await PACK[name](Buffer.alloc(30 * MIB));
    await expect(unpackAll(name, bomb, { filter, mostBytes: 5 * MIB, isLong })).rejects.toMatchObject({
      type: 'InvalidImage',
      details: expect.stringContaining(`more than ${5 * MIB} bytes come out`) as string,
    });
  });

  test('passes on what its source throws', async () => {
    const file = await PACK[name](content);
    const source = async function* () {
      yield file.subarray(0, 1000);
      throw new RangeError('the network is gone');
    };
    const all = async () => {
      for await (const bytes of unpack(name, source(), { filter, mostBytes: MIB, isLong }, never)) void bytes;
    };
    await expect(all()).rejects.toThrow(RangeError);
  });
});

test.each([
  ['xz', systemFilter, true],
  // Streams with padding between them are damaged to busybox.
  ['xz of busybox', busybox, false],
] as const)('padding of %s, in fours of zeros, is part of the file', async (_, filter, isBetween) => {
  const content = makeGuest(20_000, 5);
  const stream = await PACK.xz(content);
  for (const zeros of [4, 2000, 200_000])
    for (const size of [1, 1000, 65_536, 300_000]) {
      const padding = Buffer.alloc(zeros);
      const file = Buffer.concat([...(isBetween ? [stream, padding] : []), stream, padding]);
      const all = Buffer.concat(isBetween ? [content, content] : [content]);
      const sizes = size === 1 ? [stream.length + 1, 3, 70_000] : [size];
      expect((await unpackAll('xz', file, { filter, sizes })).equals(all)).toBe(true);
    }
});

test('frames of zstd that are to be skipped are, wherever they stand', async () => {
  const skipped = Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.from('note')]);
  const frame = zstdCompressSync(Buffer.from('an image'));
  const file = Buffer.concat([skipped, frame, skipped, skipped, frame, skipped]);
  expect(findCompression(file)).toBe('zstd');
  for (const size of [1, 3, 12, file.length])
    for (const isLong of [true, false])
      expect((await unpackAll('zstd', file, { sizes: [size], isLong })).toString()).toBe('an imagean image');
});

test('a window of zstd that is larger than any machine should need is refused', async () => {
  // RFC 8878 3.1.1.1.2: an exponent of 21 is 2 GiB.
  const file = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0]);
  await expect(unpackAll('zstd', file)).rejects.toThrow(
    'cannot unpack the image (zstd): Frame requires too much memory',
  );
});

test('what begins otherwise is not compressed', () => {
  for (const head of [Buffer.alloc(0), Buffer.from('BZh'), Buffer.from('QFI\u00fb'), deflateRawSync(Buffer.alloc(100))])
    expect(findCompression(head)).toBeUndefined();
});

test('a program that is missing is named with what to do', async () => {
  const filter: typeof systemFilter = (_, args, input, signal) => systemFilter('no-such-program', args, input, signal);
  const all = async () => {
    for await (const bytes of unpack('xz', inChunks(Buffer.alloc(9, 1), [1]), { filter, mostBytes: 9 }, never))
      void bytes;
  };
  await expect(all()).rejects.toThrow(/cannot unpack the image \(xz\).*no-such-program.*install the program/s);
});
