import { crc32 } from 'node:zlib';

import { array, assert, boolean, property, uint8Array } from 'fast-check';
import { expect, test } from 'vitest';

import { remainder, remainderWithin } from '../../../agent/image/crc.ts';

test('zeros of any length have the remainder 0', () => {
  for (const length of [0, 1, 7, 4096, 100_001]) expect(remainder(Buffer.alloc(length))).toBe(0);
});

test('remainders of different bytes of a length differ where their CRCs do', () => {
  assert(
    property(uint8Array({ minLength: 50, maxLength: 50 }), uint8Array({ minLength: 50, maxLength: 50 }), (a, b) => {
      expect(remainder(a) ^ remainder(b)).toBe((crc32(a) ^ crc32(b)) | 0);
    }),
  );
});

test('pieces of a block, in whatever order and with zeros left out, combine to its remainder', () => {
  assert(
    property(array(uint8Array({ maxLength: 300 }), { maxLength: 8 }), boolean(), (pieces, isReversed) => {
      const block = Buffer.concat(pieces);
      let end = 0;
      const parts = pieces.map((bytes) => ({ bytes, after: block.length - (end += bytes.length) }));
      const ordered = isReversed ? parts.toReversed() : parts;
      const combined = ordered
        .filter(({ bytes }) => bytes.some((byte) => byte !== 0))
        .reduce((sum, { bytes, after }) => sum ^ remainderWithin(bytes, after), 0);
      expect(combined).toBe(remainder(block));
    }),
  );
});
