import { describe, expect, test } from 'vitest';

import { readQcow2Header } from '../../../agent/image/qcow2-header.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';

const guest = makeGuest(1024 ** 2, 1);
const file = makeQcow2({ guest, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0, seed: 1 });

function changed(change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(file);
  change(copy);
  return copy;
}
const bit = (number: number) => (header: Buffer) =>
  void header.writeBigUInt64BE(header.readBigUInt64BE(72) | (1n << BigInt(number)), 72);

describe('a qcow2 header', () => {
  test('says what is needed to read the image', () => {
    expect(readQcow2Header(file, file.length)).toMatchObject({
      version: 3,
      clusterBytes: 65_536,
      sizeBytes: guest.length,
      l1Entries: 1,
      compression: 'zlib',
      headerBytes: 112,
    });
  });

  test.each<[string, (header: Buffer) => void]>([
    ['it has a backing file', (header) => void header.writeBigUInt64BE(512n, 8)],
    ['"qemu-img convert -O qcow2 IMAGE NEW"', (header) => void header.writeBigUInt64BE(512n, 8)],
    ['it is encrypted (AES)', (header) => void header.writeUInt32BE(1, 32)],
    ['it is encrypted (LUKS); take the encryption away', (header) => void header.writeUInt32BE(2, 32)],
    ['it is encrypted (method 9)', (header) => void header.writeUInt32BE(9, 32)],
    ['version 4 is not known', (header) => void header.writeUInt32BE(4, 4)],
    ['dirty bit', bit(0)],
    ['marked as corrupt', bit(1)],
    ['external data file', bit(2)],
    ['do not agree', bit(3)],
    ['qemu-img check -r all', bit(1)],
    [
      'subclusters of clusters of 4096 bytes',
      (header) => {
        bit(4)(header);
        header.writeUInt32BE(12, 20);
      },
    ],
    ['refcounts of 2^7 bits', (header) => void header.writeUInt32BE(7, 96)],
    ['refcount table has', (header) => void header.writeUInt32BE(1000, 56)],
    [
      'refcount table is out of bounds',
      (header) => void (header.writeUInt32BE(1, 56), header.writeBigUInt64BE(2n ** 40n, 48)),
    ],
    ['refcount table is at byte 77', (header) => void header.writeBigUInt64BE(77n, 48)],
    ['unknown incompatible feature (bit 5)', bit(5)],
    ['unknown incompatible feature (bit 63)', bit(63)],
    ['clusters of 2^8 bytes', (header) => void header.writeUInt32BE(8, 20)],
    ['clusters of 2^22 bytes', (header) => void header.writeUInt32BE(22, 20)],
    ['clusters of 2^4294967295 bytes', (header) => void header.writeUInt32BE(0xff_ff_ff_ff, 20)],
    ['virtual size is 0', (header) => void header.writeBigUInt64BE(0n, 24)],
    ['virtual size is absurd', (header) => void header.writeBigUInt64BE(2n ** 63n, 24)],
    ['too small for its virtual size', (header) => void header.writeBigUInt64BE(2n ** 50n, 24)],
    ['L1 table has 4294967295 entries', (header) => void header.writeUInt32BE(0xff_ff_ff_ff, 36)],
    ['L1 table is out of bounds', (header) => void header.writeBigUInt64BE(2n ** 40n, 40)],
    ['no cluster’s start'.replace('’', "'"), (header) => void header.writeBigUInt64BE(100n, 40)],
    ['a header of 4294967295 bytes', (header) => void header.writeUInt32BE(0xff_ff_ff_ff, 100)],
    ['a header of 0 bytes', (header) => void header.writeUInt32BE(0, 100)],
    ['unknown compression type 7', (header) => void header.writeUInt8(7, 104)],
    ['external data file', (header) => void header.writeUInt32BE(0x44_41_54_41, 112)],
    [
      'header extension does not fit',
      (header) => void (header.writeUInt32BE(1, 112), header.writeUInt32BE(0xff_ff_ff, 116)),
    ],
  ])('is refused: %s', (why, change) => {
    expect(() => readQcow2Header(changed(change), file.length)).toThrow(why);
  });

  test('of a file that is too short for one is refused', () => {
    expect(() => readQcow2Header(file.subarray(0, 60), 60)).toThrow('no whole header');
  });
});
