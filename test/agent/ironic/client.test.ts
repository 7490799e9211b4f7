import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createIronicClient, faultText, refusalStatus } from '../../../agent/ironic/client.ts';
import { createHttp } from '../../../agent/ironic/http.ts';
import { type FakeIronic, NODE_UUID, startFakeIronic, TOKEN } from '../../fakes/ironic.ts';
import { TLS } from '../../fakes/agent-parts.ts';

const http = createHttp({ tls: TLS, timeoutMs: 2000 });
const BEAT = { callback_url: 'https://h:9999', agent_token: TOKEN, agent_version: '0.1.0', agent_verify_ca: 'PEM' };
const VERSION = 'x-openstack-ironic-api-version';
/** A port that nothing listens on: it was free a moment ago and is below the ephemeral range's usual start. */
const NOBODY = 'http://127.0.0.1:9';

let fakes: FakeIronic[] = [];
let ironic: FakeIronic;
beforeEach(async () => {
  ironic = await startFakeIronic();
  fakes = [ironic];
});
afterEach(async () => {
  await Promise.all(fakes.map((fake) => fake.close()));
});

async function start(maximum?: string): Promise<FakeIronic> {
  const fake = await startFakeIronic(maximum);
  fakes.push(fake);
  return fake;
}

describe('versions', () => {
  test('are asked for once; lookups carry 1.62, heartbeats 1.68, as on the wire of the real agent', async () => {
    const client = createIronicClient({ urls: [ironic.url], http, requestId: 'req-1' });
    await client.lookup(['52:54:00:11:22:44', '52:54:00:11:22:45']);
    await client.heartbeat(NODE_UUID, BEAT);
    expect(ironic.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /',
      'GET /v1/lookup',
      `POST /v1/heartbeat/${NODE_UUID}`,
    ]);
    expect(ironic.seen.map(({ headers }) => headers[VERSION])).toEqual([undefined, '1.62', '1.68']);
    expect(ironic.seen.map(({ headers }) => headers['x-openstack-request-id'])).toEqual(['req-1', 'req-1', 'req-1']);
    expect(ironic.seen[1]?.query.get('addresses')).toBe('52:54:00:11:22:44,52:54:00:11:22:45');
    expect(ironic.seen[1]?.query.has('node_uuid')).toBe(false);
    expect(ironic.seen[2]?.body).toEqual(BEAT);
  });

  test('older than a field leave the field out', async () => {
    const old = await start('1.50');
    const client = createIronicClient({ urls: [old.url], http });
    await client.lookup(['a'], NODE_UUID);
    await client.heartbeat(NODE_UUID, BEAT);
    expect(old.seen[1]?.headers[VERSION]).toBe('1.50');
    expect(old.seen[1]?.query.get('node_uuid')).toBe(NODE_UUID);
    expect(old.seen[2]?.body).toEqual({ callback_url: BEAT.callback_url, agent_version: BEAT.agent_version });
  });

  test('that cannot be read are assumed to be 1.31 and asked for again', async () => {
    ironic.override = ({ path }) => (path === '/' ? { status: 503, text: 'later' } : undefined);
    const client = createIronicClient({ urls: [ironic.url], http });
    await client.lookup(['a']);
    ironic.override = undefined;
    await client.lookup(['a']);
    expect(ironic.seen.filter(({ path }) => path === '/v1/lookup').map(({ headers }) => headers[VERSION])).toEqual([
      '1.31',
      '1.62',
    ]);
  });

  test('given beforehand are not asked for', async () => {
    const client = createIronicClient({ urls: [ironic.url], http, apiVersion: '1.60' });
    await client.lookup(['a']);
    expect(ironic.seen.map(({ path, headers }) => [path, headers[VERSION]])).toEqual([['/v1/lookup', '1.60']]);
  });
});

describe('several URLs', () => {
  test('the next is tried when one gives no answer, and the one that works stays in front', async () => {
    const client = createIronicClient({ urls: [NOBODY, ironic.url], http });
    await client.lookup(['a']);
    await client.lookup(['a']);
    expect(ironic.seen.map(({ path }) => path)).toEqual(['/', '/v1/lookup', '/v1/lookup']);
  });

  test('what an URL has answered is its next probe, once', async () => {
    const client = createIronicClient({ urls: [ironic.url], http });
    await client.lookup(['a']);
    const [probe] = client.probes();
    expect((await probe?.())?.localAddress).toBe('127.0.0.1');
    expect(ironic.seen.map(({ path }) => path)).toEqual(['/', '/v1/lookup']);
    await client.probes()[0]?.();
    expect(ironic.seen.map(({ path }) => path)).toEqual(['/', '/v1/lookup', '/']);
  });

  test('when none answers, the last reason is said', async () => {
    const client = createIronicClient({ urls: [NOBODY, 'http://127.0.0.1:10'], http });
    await expect(client.probe()).rejects.toThrow(
      'cannot reach http://127.0.0.1:10: nothing listens there (ECONNREFUSED)',
    );
  });
});

describe('answers', () => {
  test("of 400 and above are refusals with status and the server's words", async () => {
    ironic.override = ({ path }) =>
      path === '/v1/lookup'
        ? {
            status: 404,
            body: { error_message: JSON.stringify({ faultstring: 'Node nodes with MACs could not be found.' }) },
          }
        : undefined;
    const client = createIronicClient({ urls: [ironic.url], http });
    const error = await client.lookup(['a']).catch((thrown: unknown) => thrown);
    expect(refusalStatus(error)).toBe(404);
    expect((error as Error).message).toBe(
      'cannot get what was asked for: Ironic answered 404: Node nodes with MACs could not be found.',
    );
  });

  test('a heartbeat that is not taken with 202 is refused', async () => {
    ironic.override = ({ path }) => (path.startsWith('/v1/heartbeat') ? { status: 200, body: {} } : undefined);
    const client = createIronicClient({ urls: [ironic.url], http });
    await expect(client.heartbeat(NODE_UUID, BEAT)).rejects.toThrow('Ironic answered 200');
  });

  test.each([
    ['{"error_message": "{\\"faultstring\\": \\"a\\"}"}', 'a'],
    ['{"error_message": {"faultstring": "b"}}', 'b'],
    ['{"faultstring": "c"}', 'c'],
    ['<html><title>502</title> Bad\n Gateway</html>', '502 Bad Gateway'],
    ['', ''],
    ['null', 'null'],
  ])('the words of %s are found', (text, words) => {
    expect(faultText(text)).toBe(words);
  });

  test('that never come are a failure with the time', async () => {
    const quick = createHttp({ tls: TLS, timeoutMs: 100 });
    const { createServer } = await import('node:net');
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    await expect(quick({ method: 'GET', url: `http://127.0.0.1:${port}/` })).rejects.toThrow('no answer within 0.1 s');
    silent.close();
  });

  test('carry the own address of the connection', async () => {
    expect((await http({ method: 'GET', url: ironic.url })).localAddress).toBe('127.0.0.1');
  });
});
