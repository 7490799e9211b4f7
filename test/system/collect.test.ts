import { expect, test } from 'vitest';

import { leaveBehind } from '../../system/collect.ts';

test('buffers that nobody holds any more go at once, long before V8 would collect them', () => {
  const MIB = 1024 ** 2;
  const used = () => process.memoryUsage().arrayBuffers;
  leaveBehind(2 * MIB);
  const before = used();
  let most = 0;
  let total = 0;
  for (let piece = 0; piece < 1024; piece++) {
    const { length } = Buffer.alloc(64 * 1024);
    total += length;
    leaveBehind(length);
    most = Math.max(most, used() - before);
  }
  expect(total).toBe(64 * MIB);
  expect(most).toBeLessThan(12 * MIB);
});
