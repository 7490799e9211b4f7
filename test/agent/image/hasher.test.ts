import { createHash, randomBytes } from 'node:crypto';

import { expect, test } from 'vitest';

import { createHasher } from '../../../agent/image/hasher.ts';
import { alignedBuffer } from '../../../system/aligned.ts';

const pieces = [randomBytes(100_000), randomBytes(1), alignedBuffer(70_000).fill('shared'), Buffer.alloc(0)];
const LONG = 1024 ** 3;

test.each([
  ['in a thread, for a long file', LONG, 2],
  ['in a thread, for a file of unknown length', undefined, 2],
  ['here, on a single processor', LONG, 1],
  ['here, for a short file', 1000, 2],
])('pieces are hashed in order %s', async (_, sizeBytes, processors) => {
  for (const algorithm of ['md5', 'sha256', 'sha512']) {
    const hasher = createHasher(algorithm, sizeBytes, processors);
    const updates = pieces.map((bytes) => hasher.update(bytes));
    const hex = await hasher.digest();
    await Promise.all(updates);
    await hasher.close();
    expect(hex).toBe(createHash(algorithm).update(Buffer.concat(pieces)).digest('hex'));
  }
});

test('a thread that ends fails what waits for it and what comes later, and hangs nothing', async () => {
  const hasher = createHasher('sha256', LONG, 2);
  const waiting = hasher.digest();
  const closing = hasher.close();
  await expect(waiting).rejects.toThrow(/cannot hash the image/);
  await closing;
  await expect(hasher.update(Buffer.alloc(1))).rejects.toThrow(/cannot hash the image/);
});
