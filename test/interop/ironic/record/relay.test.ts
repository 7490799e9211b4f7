import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { createServer as createTlsServer } from 'node:https';

import { afterEach, expect, test } from 'vitest';

import { createCertificate } from '../../../../agent/ironic/certificate.ts';
import { relay, type Target } from './relay.ts';
import type { Exchange } from './wire.ts';

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function relayTo(target: Target, change?: (path: string, body: string) => string) {
  const told: Exchange[] = [];
  const server = createServer((request, response) => {
    const tell = (exchange: Exchange) => void told.push(exchange);
    void relay(request, response, {
      from: 'agent',
      target: () => target,
      now: () => 1.5,
      tell,
      ...(change && { change }),
    });
  });
  return { url: `http://127.0.0.1:${await listen(server)}`, told };
}

test('a request goes through with another body than was recorded', async () => {
  const seen: string[] = [];
  const port = await listen(
    createServer((request, response) => {
      request.on('data', (piece: Buffer) => seen.push(piece.toString()));
      request.on('end', () => response.writeHead(202, { 'x-own': 'kept' }).end());
    }),
  );
  const { url, told } = await relayTo({ url: `http://127.0.0.1:${port}` }, (_path, body) =>
    body.replace('agent', 'us'),
  );
  const answer = await fetch(`${url}/v1/heartbeat/1?a=b`, { method: 'POST', body: '{"callback_url":"agent"}' });
  expect([answer.status, answer.headers.get('x-own'), await answer.text()]).toEqual([202, 'kept', '']);
  expect(seen).toEqual(['{"callback_url":"us"}']);
  expect(told).toMatchObject([
    {
      at: 1.5,
      from: 'agent',
      method: 'POST',
      path: '/v1/heartbeat/1?a=b',
      requestBody: { callback_url: 'agent' },
      status: 202,
      responseBody: null,
    },
  ]);
});

test('the agent is asked over TLS, and only if it has the certificate that it sent', async () => {
  const certificate = () =>
    createCertificate({ host: '127.0.0.1', commonName: 'agent', curve: 'p256', times: [Date.now()] });
  const own = certificate();
  const port = await listen(
    createTlsServer({ cert: own.certificate, key: own.key }, (_request, response) => response.end('{"commands":[]}')),
  );
  const url = `https://127.0.0.1:${port}`;
  const right = await relayTo({ url, ca: own.certificate });
  expect(await (await fetch(`${right.url}/v1/commands/`)).json()).toEqual({ commands: [] });
  expect(right.told).toMatchObject([{ method: 'GET', requestBody: null, status: 200, responseBody: { commands: [] } }]);
  const wrong = await relayTo({ url, ca: certificate().certificate });
  await expect(fetch(`${wrong.url}/v1/commands/`)).rejects.toThrow(/fetch failed/);
  expect(wrong.told).toEqual([]);
});
