import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { openHttpSource } from '../../../agent/image/http-source.ts';
import { AgentError } from '../../../agent/api/errors.ts';
import { ImageChanged } from '../../../agent/image/source.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type ImageServer, type ServerBehaviour, startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { download, OPTIONS, refusal } from './downloading.ts';

const file = makeGuest(300 * 512 * 2, 11);
const { signal } = new AbortController();
let server: ImageServer | undefined;
afterEach(() => server?.close());

async function serve(behave: (index: number) => Partial<ServerBehaviour>): Promise<string> {
  server = await startImageServer((index) => ({ content: file, etag: '"one"', ...behave(index) }));
  return server.url;
}
const ranges = () => server?.requests.map((line) => line.split(' ')[2]);

describe('parts of a file', () => {
  test('a server without Range is read in one pass', async () => {
    expect((await download(await serve(() => ({ withoutRange: true })))).equals(file)).toBe(true);
    expect(ranges()).toEqual(['bytes=0-65535']);
  });

  test('the answer that was begun waits for whoever is slow', async () => {
    const url = await serve(() => ({ withoutRange: true }));
    const source = await openHttpSource(url, { ...OPTIONS, timeoutMs: 100 }, fakeClock(), signal);
    await new Promise((resolve) => setTimeout(resolve, 400));
    const parts: Uint8Array[] = [];
    for await (const bytes of source.stream(signal)) parts.push(Buffer.from(bytes));
    await source.close();
    expect(Buffer.concat(parts).equals(file)).toBe(true);
  });

  test('nginx that answers 416 to a part of a file that it has is asked for all of it', async () => {
    const url = await serve((index) => (index === 0 ? { status: 416 } : { withoutRange: true }));
    expect((await download(url)).equals(file)).toBe(true);
    expect(ranges()).toEqual(['bytes=0-65535', 'whole']);
  });

  test('416 after a drop: the bytes that came before are thrown away', async () => {
    const url = await serve((index) => [{}, { dropAfter: 100_000 }, { status: 416 }][index] ?? { withoutRange: true });
    expect((await download(url)).equals(file)).toBe(true);
    expect(ranges()?.at(-1)).toBe('whole');
  });

  test.each([
    ['of another place', 'bytes 5-65540/307200'],
    ['that ends before it begins', 'bytes 9-3/307200'],
    ['longer than the file', 'bytes 0-65535/100'],
    ['that is not what is sent', 'bytes 0-99/307200'],
    ['of many parts', ''],
    ['in other units', 'lines 0-65535/307200'],
  ])('a Content-Range %s makes all of it be asked for', async (_, rangeSaid) => {
    const url = await serve((index) => (index === 0 ? { rangeSaid } : { withoutRange: true }));
    expect((await download(url)).equals(file)).toBe(true);
    expect(ranges()).toEqual(['bytes=0-65535', 'whole']);
  });

  test('the first bytes of an answer from another place are not the first of the file', async () => {
    const url = await serve((index) => (index === 0 ? { rangeSaid: 'bytes 5-65540/307200' } : { withoutRange: true }));
    const source = await openHttpSource(url, OPTIONS, fakeClock(), signal);
    await source.close();
    expect(server?.requests).toHaveLength(2);
    expect(Buffer.from(source.head).equals(file.subarray(0, source.head.length))).toBe(true);
  });

  test.each([['bytes 0-9/307200'], ['bytes 99000-306199/307200']])(
    'a wrong Content-Range after a drop, too: %s',
    async (rangeSaid) => {
      const url = await serve((index) => [{}, { dropAfter: 100_000 }, { rangeSaid }][index] ?? {});
      expect((await download(url)).equals(file)).toBe(true);
      expect(ranges()).toEqual(['bytes=0-65535', 'whole', 'bytes=100000-', 'whole']);
    },
  );

  test('a file whose length the part does not tell is asked for it', async () => {
    const url = await serve((index) => (index === 0 ? { rangeSaid: 'bytes 0-65535/*' } : {}));
    const source = await openHttpSource(url, OPTIONS, fakeClock(), signal);
    expect(source.sizeBytes).toBe(file.length);
    await source.close();
  });

  test('a server that answers all requests with a part and no length is refused', async () => {
    const url = await serve(() => ({ status: 206, headers: { 'content-range': 'bytes 0-14/*' } }));
    expect(await refusal(download(url))).toContain('a request for the whole file with a part');
  });

  test('a server that gives little at a time is asked again at once', async () => {
    const url = await serve((index) => (index === 1 ? { dropAfter: 10 } : { mostBytes: 70_000 }));
    const clock = fakeClock();
    expect((await download(url, {}, clock)).equals(file)).toBe(true);
    expect(clock.sleeps).toEqual([10]);
    expect(ranges()).toHaveLength(2 + Math.ceil(file.length / 70_000));
  });

  test('a file that is all in its first bytes needs one request', async () => {
    const small = file.subarray(0, 900);
    expect((await download(await serve(() => ({ content: small })))).equals(small)).toBe(true);
    expect(server?.requests).toHaveLength(1);
  });

  test('an empty file is empty', async () => {
    const url = await serve((index) => ({ content: Buffer.alloc(0), ...(index === 0 && { status: 416 }) }));
    expect((await download(url)).length).toBe(0);
  });
});

describe('a length that is a lie', () => {
  test('more than comes: the connection is waited for, then given up', async () => {
    const lengthSaid = file.length + 1000;
    const url = await serve(() => ({ withoutRange: true, lengthSaid }));
    expect(await refusal(download(url, { timeoutMs: 100 }))).toMatch(/it stopped sending|closed the connection/);
  });

  test('another one each time is a file that changed', async () => {
    const url = await serve((index) => (index === 0 ? {} : { withoutRange: true, lengthSaid: file.length - 5 }));
    await expect(download(url)).rejects.toThrow(ImageChanged);
  });

  test('more bytes than were told of are refused', async () => {
    const url = await serve((index) => (index === 0 ? { rangeSaid: 'bytes 0-65535/200000' } : { withoutLength: true }));
    expect(await refusal(download(url))).toContain('more than the 200000 bytes');
  });
});

describe('answers without a file', () => {
  test.each([400, 401, 403, 404, 405, 410, 451])('%i is final, at once', async (status) => {
    const clock = fakeClock();
    expect(await refusal(download(await serve(() => ({ status })), {}, clock))).toContain(`it answered ${status}`);
    expect(server?.requests).toHaveLength(1);
    expect(clock.sleeps).toEqual([]);
  });

  test.each([408, 425, 429, 500, 502, 503, 504])('%i is tried again', async (status) => {
    expect((await download(await serve((index) => (index === 0 ? { status } : {})))).equals(file)).toBe(true);
  });

  test.each([
    ['seconds', '7', 7000],
    ['a date', 'Thu, 01 Jan 2026 00:00:20 GMT', 20_000],
    ['nonsense', 'soon', 10],
    ['less than our own interval', '0', 10],
  ])('Retry-After with %s is waited for', async (_, text, wait) => {
    const clock = fakeClock();
    const url = await serve((index) => (index === 0 ? { status: 429, headers: { 'retry-after': text } } : {}));
    await download(url, {}, clock);
    expect(clock.sleeps).toEqual([wait]);
  });

  test('a Retry-After of a day is not waited for', async () => {
    const clock = fakeClock();
    const url = await serve(() => ({ status: 503, headers: { 'retry-after': '86400' } }));
    expect(await refusal(download(url, {}, clock))).toContain('it answered 503');
    expect(clock.sleeps).toEqual([]);
  });

  test('a server that is not there any more is said in words', async () => {
    const url = await serve(() => ({}));
    await server?.close();
    expect(await refusal(download(url))).toMatch(/nothing listens on that port.*ECONNREFUSED.*3 times/);
  });
});

describe('codings', () => {
  test('an answer that was compressed on the way is refused', async () => {
    const url = await serve(() => ({ headers: { 'content-encoding': 'gzip' } }));
    expect(await refusal(download(url))).toContain('switch compression off');
  });

  test.each([
    ['x-gzip', 'disk.raw.gz'],
    ['gzip', 'disk.tgz'],
    ['zstd', 'disk.qcow2.zst'],
    ['xz', 'disk.xz'],
  ])('%s for %s is the file itself, as Apache labels it', async (encoding, name) => {
    const url = await serve(() => ({ headers: { 'content-encoding': encoding } }));
    expect((await download(new URL(name, url).href)).equals(file)).toBe(true);
  });
});

test('whatever the connections do, the bytes are the file’s or there is an error', async () => {
  const behaviour = fc.record(
    {
      dropAfter: fc.nat(file.length),
      withoutRange: fc.boolean(),
      withoutLength: fc.boolean(),
      mostBytes: fc.integer({ min: 1000, max: file.length }),
      status: fc.constantFrom(416, 429, 500, 503),
      etag: fc.constantFrom('"one"', '"two"', 'W/"one"'),
    },
    { requiredKeys: [] },
  );
  let good = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(behaviour, { maxLength: 8 }), async (list) => {
      const url = await serve((index) => list[index] ?? {});
      const outcome = await download(url, { retries: 3 }).catch((reason: unknown) => reason);
      await server?.close();
      const isFile = Buffer.isBuffer(outcome) && outcome.equals(file);
      if (isFile) good++;
      expect(isFile || outcome instanceof AgentError || outcome instanceof ImageChanged).toBe(true);
    }),
    { numRuns: 80 },
  );
  expect(good).toBeGreaterThan(20);
});
