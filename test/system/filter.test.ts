import { expect, test } from 'vitest';

import { systemFilter } from '../../system/filter.ts';

const never = new AbortController().signal;

async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index++) yield Buffer.alloc(bytes, index);
}

async function lengthOf(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let length = 0;
  for await (const bytes of chunks) length += bytes.length;
  return length;
}

test('everything goes in and everything comes out, however slow the program reads', async () => {
  expect(await lengthOf(systemFilter('cat', [], pieces(300, 70_000), never))).toBe(300 * 70_000);
  expect(await lengthOf(systemFilter('sh', ['-c', 'sleep 0.3; cat'], pieces(20, 70_000), never))).toBe(20 * 70_000);
  expect(await lengthOf(systemFilter('cat', [], pieces(0, 1), never))).toBe(0);
});

test.each([
  ['an exit code', 'cat; echo "it is broken" >&2; exit 3', /exit code 3\nit is broken/],
  ['a signal', 'cat >/dev/null; kill -9 $$', /ended by SIGKILL/],
  ['a warning', 'cat; echo "I left something out" >&2', /ended well, but with words\nI left something out/],
  ['input that it did not want', 'head -c 10', /before it had read all of its input/],
  ['input that it did not want, closed', 'exec 0<&-; sleep 0.2', /before it had read all of its input/],
])('%s is a failure after whatever came out', async (_, script, why) => {
  await expect(lengthOf(systemFilter('sh', ['-c', script], pieces(30, 70_000), never))).rejects.toThrow(why);
});

test('a program that is not there is a failure', async () => {
  await expect(lengthOf(systemFilter('no-such-program', [], pieces(3, 10), never))).rejects.toThrow('ENOENT');
});

test('what the input throws is thrown, although the program ended well', async () => {
  const broken = async function* () {
    yield Buffer.from('some');
    throw new RangeError('the network is gone');
  };
  await expect(lengthOf(systemFilter('cat', [], broken(), never))).rejects.toThrow(RangeError);
});

test('who stops reading, or aborts, ends the program and the input', async () => {
  let isClosed = false;
  const endless = async function* () {
    try {
      for (;;) yield Buffer.alloc(1000);
    } finally {
      isClosed = true;
    }
  };
  for await (const bytes of systemFilter('cat', [], endless(), never)) if (bytes.length > 0) break;
  await expect.poll(() => isClosed).toBe(true);
  const controller = new AbortController();
  const reading = lengthOf(systemFilter('sleep', ['60'], pieces(1, 1), controller.signal));
  setTimeout(() => controller.abort(new Error('the agent stops')), 50);
  await expect(reading).rejects.toThrow('the agent stops');
});
