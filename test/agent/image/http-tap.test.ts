import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { createRoutes, type Response, type Routes } from '../../../agent/image/http-proxy.ts';
import { plainBodyBytes } from '../../../agent/image/http-tap.ts';
import { makeGuest, seeded } from '../../fakes/qcow2.ts';
import { OPTIONS } from './downloading.ts';

const MIB = 1024 ** 2;
const content = makeGuest(4 * MIB, 7);

let server: Server | undefined;
let routes: Routes | undefined;
const sockets = new Set<Socket>();
afterEach(async () => {
  await routes?.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  [server, routes] = [undefined, undefined];
});

/** A server that answers whatever it is asked by what `talk` does with the connection. */
async function ask(
  talk: (socket: Socket) => unknown,
  headers: Record<string, string> = {},
  timeoutMs = 5000,
): Promise<Response> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => void talk(socket));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  routes = createRoutes({ ...OPTIONS, timeoutMs });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/image.raw`);
  return routes.request(url, { signal: new AbortController().signal, headers });
}

async function readAll({ body }: Response, pause: () => unknown = () => undefined): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const bytes of body) {
    parts.push(Buffer.from(bytes));
    await pause();
  }
  return Buffer.concat(parts);
}

const head = (length: number, ...more: string[]) =>
  [`HTTP/1.1 200 OK`, `Content-Length: ${length}`, ...more, '', ''].join('\r\n');

describe('which bodies come past undici', () => {
  test.each([
    ['HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n', 300_000],
    ['HTTP/1.1 206 Partial Content\r\nETag: "a"\r\ncontent-length:\t12 \r\n\r\n', 12],
    ['HTTP/1.1 200 OK\r\nX-Content-Length: 5\r\n\r\n', undefined],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n', undefined],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n', undefined],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', undefined],
    ['HTTP/1.1 404 Not Found\r\nContent-Length: 300000\r\n\r\n', undefined],
    ['HTTP/1.0 200 OK\r\nContent-Length: 300000\r\n\r\n', undefined],
    ['HTTP/1.1 200 OK\r\n\r\n', undefined],
  ])('%j: %s', (text, bytes) => {
    expect(plainBodyBytes(text)).toBe(bytes);
  });
});

test('however the answer is cut, and whatever comes before it, the body is the body', { timeout: 60_000 }, async () => {
  const drawn = fc.record({
    length: fc.constantFrom(0, 1, 255 * 1024, 256 * 1024, MIB, 3 * MIB + 1),
    early: fc.boolean(),
    isChunked: fc.boolean(),
    cuts: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 }),
    isSlow: fc.boolean(),
    isRange: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(drawn, async ({ length, early, isChunked, cuts, isSlow, isRange }) => {
      const body = content.subarray(0, length);
      const plain = Buffer.concat([Buffer.from(head(length)), body]);
      const chunked = Buffer.concat([
        Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
        ...(length > 0 ? [Buffer.from(`${length.toString(16)}\r\n`), body, Buffer.from('\r\n')] : []),
        Buffer.from('0\r\n\r\n'),
      ]);
      const hints = Buffer.from(early ? 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n' : '');
      const answer = Buffer.concat([hints, isChunked ? chunked : plain]);
      const response = await ask(
        async (socket) => {
          for (let at = 0, i = 0; at < answer.length; i++) {
            const end = at + (cuts[i] ?? answer.length);
            await new Promise((resolve) => socket.write(answer.subarray(at, end), resolve));
            at = end;
          }
        },
        isRange ? { range: 'bytes=65536-99999' } : {},
      );
      const pause = isSlow ? () => new Promise((resolve) => setTimeout(resolve, 2)) : undefined;
      expect((await readAll(response, pause)).equals(body)).toBe(true);
      await routes?.close();
      server?.close();
    }),
    { numRuns: 40 },
  );
});

test('a connection that breaks gives what came, and then why', async () => {
  const response = await ask((socket) => {
    socket.write(head(MIB));
    socket.write(content.subarray(0, 600_000), () => setTimeout(() => socket.destroy(), 50));
  });
  let got = 0;
  const reading = (async () => {
    for await (const bytes of response.body) {
      expect(content.subarray(got, got + bytes.length).equals(bytes)).toBe(true);
      got += bytes.length;
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'UND_ERR_SOCKET' });
  expect(got).toBe(600_000);
});

test('what comes after the end of the body is nobody’s', async () => {
  const response = await ask((socket) => {
    socket.write(Buffer.concat([Buffer.from(head(MIB)), content]));
  });
  expect((await readAll(response)).equals(content.subarray(0, MIB))).toBe(true);
});

test('a server that stops sending is left, a reader that stops reading is waited for', async () => {
  const response = await ask(
    (socket) => {
      socket.write(head(2 * MIB));
      socket.write(content.subarray(0, MIB));
    },
    {},
    200,
  );
  let got = 0;
  const reading = (async () => {
    for await (const bytes of response.body) {
      if (got === 0) await new Promise((resolve) => setTimeout(resolve, 500));
      got += bytes.length;
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'UND_ERR_BODY_TIMEOUT' });
  expect(got).toBe(MIB);
});

test('who does not read is not sent more than buffers hold', async () => {
  const long = 256 * MIB;
  let sent = 0;
  const response = await ask(async (socket) => {
    socket.write(head(long));
    for (; sent < long && !socket.destroyed; sent += content.length)
      if (!socket.write(content)) await new Promise((resolve) => socket.once('drain', resolve));
  });
  const iterator = response.body[Symbol.asyncIterator]();
  await iterator.next();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(sent).toBeLessThan(64 * MIB);
  response.body.destroy();
  await expect(iterator.next().then(() => iterator.next())).rejects.toThrow(/abort|clos/i);
});

test('who stops reading in the middle leaves no connection behind', async () => {
  const response = await ask((socket) => {
    socket.write(head(8 * MIB));
    socket.write(content);
  });
  for await (const bytes of response.body) if (bytes.length > 0) break;
  const [socket] = sockets;
  await new Promise((resolve) => (socket?.destroyed ? resolve(undefined) : socket?.once('close', resolve)));
  expect(socket?.destroyed).toBe(true);
});

test('nonsense for an answer is an error, and nothing hangs', { timeout: 60_000 }, async () => {
  const random = seeded(3);
  for (let run = 0; run < 60; run++) {
    const answer = Buffer.from(head(300_000 + run));
    for (let i = 0; i < 1 + run / 10; i++) answer[Math.floor(random() * answer.length)] = Math.floor(random() * 256);
    const text = await ask(
      (socket) => socket.end(Buffer.concat([answer, content.subarray(0, 300_000 + run)])),
      {},
      1000,
    )
      .then(async (response) => {
        const all = await readAll(response);
        const said = Number(response.headers['content-length'] ?? all.length);
        // What is left is an answer to which the bytes that came are all.
        return all.length === said ? '' : `${all.length} bytes instead of ${said}`;
      })
      .catch(() => '');
    expect(text).toBe('');
    await routes?.close();
    server?.close();
  }
});
