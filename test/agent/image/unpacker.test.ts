import { randomBytes } from 'node:crypto';
import { createInflateRaw, createZstdDecompress, deflateRawSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { createUnpacker, type Packed } from '../../../agent/image/unpacker.ts';
import { alignedBuffer } from '../../../system/aligned.ts';
import { makeGuest } from '../../fakes/qcow2.ts';

const CLUSTER_BYTES = 65_536;
const LONG = 1024 ** 3;
const PACK = { zlib: deflateRawSync, zstd: (bytes: Uint8Array) => zstdCompressSync(bytes) };
const clusters = Array.from({ length: 40 }, (_, seed) => makeGuest(CLUSTER_BYTES, seed));

describe.each([
  ['zlib', 'in threads', LONG, 3],
  ['zlib', 'here', 1000, 3],
  ['zstd', 'in threads', undefined, 2],
  ['zstd', 'here, on a single processor', LONG, 1],
] as const)('%s clusters %s', (compression, _, fileBytes, processors) => {
  const make = () => createUnpacker(compression, CLUSTER_BYTES, fileBytes, processors);
  /** A cluster of a file ends in a sector in which something else begins. */
  const pack = (bytes: Uint8Array): Packed => {
    const shared = alignedBuffer(2 * CLUSTER_BYTES);
    const packed = PACK[compression](bytes);
    shared.set(packed);
    shared.set(randomBytes(300), packed.length);
    return { bytes: shared.subarray(0, packed.length + 300), isCompressed: true };
  };

  test('come out in order, with plain ones between them', async () => {
    const unpacker = make();
    const batches = [clusters.slice(0, 3), clusters.slice(3, 20), clusters.slice(20)];
    const outputs = await Promise.all(
      batches.map(async (batch) => {
        const output = alignedBuffer(batch.length * CLUSTER_BYTES + 512);
        const plain: Packed = { bytes: Buffer.alloc(512, 7), isCompressed: false };
        await unpacker.unpack([...batch.map(pack), plain], output);
        return Buffer.from(output);
      }),
    );
    await unpacker.close();
    for (const [i, batch] of batches.entries())
      expect(outputs[i]?.equals(Buffer.concat([...batch, Buffer.alloc(512, 7)]))).toBe(true);
  });

  test.each([
    ['damaged', () => ({ bytes: Buffer.alloc(600, 0x2a), isCompressed: true })],
    ['too long', () => pack(makeGuest(CLUSTER_BYTES + 512, 1))],
    ['too short', () => pack(makeGuest(CLUSTER_BYTES - 512, 1))],
    [
      'cut off',
      () => ({ ...pack(makeGuest(CLUSTER_BYTES, 1)), bytes: pack(randomBytes(CLUSTER_BYTES)).bytes.subarray(0, 900) }),
    ],
  ])('one that is %s is refused, and the next batch is not', async (__, bad) => {
    const unpacker = make();
    const [good] = clusters;
    if (!good) throw new Error('no cluster');
    const output = alignedBuffer(2 * CLUSTER_BYTES);
    await expect(unpacker.unpack([pack(good), bad()], output)).rejects.toMatchObject({
      type: 'InvalidImage',
      details: expect.stringMatching(
        /a compressed cluster (?:cannot be unpacked|has \d+ bytes, not 65536|is no whole)/,
      ),
    });
    await unpacker.unpack([pack(good)], output.subarray(0, CLUSTER_BYTES));
    expect(output.subarray(0, CLUSTER_BYTES).equals(good)).toBe(true);
    await unpacker.close();
  });
});

test('threads that end fail what waits for them and what comes later, and hang nothing', async () => {
  const unpacker = createUnpacker('zlib', CLUSTER_BYTES, LONG, 2);
  const piece = { bytes: deflateRawSync(Buffer.alloc(CLUSTER_BYTES)), isCompressed: true };
  const waiting = unpacker.unpack([piece], Buffer.alloc(CLUSTER_BYTES));
  const closing = unpacker.close();
  await expect(waiting).rejects.toThrow(/cannot unpack the image/);
  await closing;
  await expect(unpacker.unpack([piece], Buffer.alloc(CLUSTER_BYTES))).rejects.toThrow(/cannot unpack the image/);
});

test('the pinned Node has the handle that the quick way goes by', () => {
  for (const stream of [createInflateRaw(), createZstdDecompress()]) {
    expect(stream).toHaveProperty('_handle.writeSync', expect.any(Function));
    expect(stream).toHaveProperty('_writeState', expect.any(Uint32Array));
    stream.destroy();
  }
});
