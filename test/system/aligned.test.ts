import { randomBytes } from 'node:crypto';

import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { alignedBuffer, copyInto, isAligned } from '../../system/aligned.ts';

test('whatever is copied into shared memory is there, and nothing else changes', () => {
  const source = randomBytes(70_000);
  fc.assert(
    fc.property(fc.nat(70_000), fc.nat(70_000), fc.nat(5000), (a, b, at) => {
      const part = new Uint8Array(source.buffer, source.byteOffset + Math.min(a, b), Math.abs(a - b));
      const target = alignedBuffer(80_000).fill(7);
      copyInto(target, at, part);
      expect(target.subarray(at, at + part.length).equals(part)).toBe(true);
      expect(target.subarray(0, at).equals(Buffer.alloc(at, 7))).toBe(true);
      expect(target.subarray(at + part.length).every((byte) => byte === 7)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('only memory that begins at a page counts as aligned', () => {
  const buffer = alignedBuffer(8192);
  expect(isAligned(buffer, 4096)).toBe(true);
  expect(isAligned(buffer.subarray(4096), 4096)).toBe(true);
  expect(isAligned(buffer.subarray(512), 4096)).toBe(false);
  expect(isAligned(Buffer.alloc(8192), 4096)).toBe(false);
});
