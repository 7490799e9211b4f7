import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { patternAt, patternBase, stamp } from '../../evidence/pattern.ts';

const SECTOR = 512;
const base = patternBase('00'.repeat(32));

test('each block of 512 bytes begins with pass, position and mark, also where the position outgrows 32 bits; the rest is left', () => {
  const near = fc.oneof(
    fc.nat(2 ** 31),
    fc.nat(64).map((n) => 2 ** 32 / SECTOR - n),
    fc.nat(2 ** 20).map((n) => n * 2 ** 20),
  );
  fc.assert(
    fc.property(near, fc.nat(80), fc.nat(9), (block, blocks, pass) => {
      const whole = Buffer.alloc((blocks + 2) * SECTOR, 0x5a);
      const buffer = whole.subarray(SECTOR, -SECTOR);
      const position = block * SECTOR;
      stamp(buffer, position, pass);
      for (let offset = 0; offset < buffer.length; offset += SECTOR) {
        const words = [
          buffer.readUInt32BE(offset),
          Number(buffer.readBigUInt64BE(offset + 4)),
          buffer.readUInt32BE(offset + 12),
        ];
        expect(words).toEqual([pass, position + offset, 0x696e676f]);
        expect(buffer.subarray(offset + 16, offset + SECTOR).every((byte) => byte === 0x5a)).toBe(true);
      }
      expect([whole[SECTOR - 1], whole[whole.length - SECTOR]]).toEqual([0x5a, 0x5a]);
    }),
    { numRuns: 200 },
  );
});

test('what belongs at a place is the base there, but for the marks', () => {
  const at = patternAt(base, 3 * 2 ** 20 + 4096, 1024, 1);
  expect(at.subarray(16, SECTOR).equals(base.subarray(4096 + 16, 4096 + SECTOR))).toBe(true);
  expect(at.readUInt32BE(8)).toBe(3 * 2 ** 20 + 4096);
});
