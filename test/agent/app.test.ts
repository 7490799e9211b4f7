import * as fc from 'fast-check';
import { Type } from 'typebox';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { createApp } from '../../agent/app.ts';
import type { CommandSpec } from '../../agent/engine/command-table.ts';
import { createRunner } from '../../agent/engine/runner.ts';

const TOKEN = 'the-token-of-this-boot-with-32-characters';
let open: (() => void)[] = [];
afterEach(() => {
  for (const resolve of open) resolve();
  open = [];
});

const COMMANDS: CommandSpec<null>[] = [
  {
    name: 'standby.sync',
    mode: 'sync',
    summary: 'nothing',
    params: Type.Object({ x: Type.Optional(Type.Integer()) }),
    run: async () => null,
  },
  {
    name: 'standby.fail',
    mode: 'sync',
    summary: 'fails',
    params: Type.Object({}),
    run: async () => {
      throw new Error('it broke');
    },
  },
  {
    name: 'standby.slow',
    mode: 'async',
    summary: 'waits',
    params: Type.Object({}),
    run: () => new Promise<void>((resolve) => open.push(resolve)),
  },
];

function setup(token: string | undefined = TOKEN) {
  const log = vi.fn<(line: string) => void>();
  const runner = createRunner({
    commands: COMMANDS,
    deps: null,
    signal: new AbortController().signal,
    log: () => undefined,
  });
  const app = createApp({ runner, token: () => token, startedAt: 1764.25, version: '0.1.0', log });
  const post = (payload: unknown, url = `/v1/commands/?wait=true&agent_token=${TOKEN}`) =>
    app.inject({
      method: 'POST',
      url,
      payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
      headers: { 'content-type': 'application/json' },
    });
  const get = (url: string) => app.inject({ method: 'GET', url });
  return { app, runner, log, post, get };
}

const fault = (faultstring: string, faultcode = 'Client') => ({ faultcode, faultstring });
const SYNC = { name: 'standby.sync', params: {} };

describe('descriptions, without a token', () => {
  test('GET / is the API root, byte for byte as IPA has it', async () => {
    const version = {
      id: 'v1',
      links: [
        { href: 'http://192.0.2.1:9999/v1', rel: 'self' },
        { href: 'https://docs.openstack.org/ironic-python-agent/', rel: 'describedby', type: 'text/html' },
      ],
    };
    const answer = await setup().app.inject({ url: '/', headers: { host: '192.0.2.1:9999' } });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.json()).toEqual({
      name: 'OpenStack Ironic Python Agent API',
      description: 'Ironic Python Agent is a provisioning agent for OpenStack Ironic',
      versions: [version],
      default_version: version,
    });
  });

  test('GET /v1/ names its resources', async () => {
    const answer = await setup().app.inject({ url: '/v1/', headers: { host: 'h:1' } });
    expect(answer.json()).toMatchObject({
      id: 'v1',
      commands: [
        { href: 'http://h:1/v1/commands', rel: 'self' },
        { href: 'http://h:1/commands', rel: 'bookmark' },
      ],
      status: [
        { href: 'http://h:1/v1/status', rel: 'self' },
        { href: 'http://h:1/status', rel: 'bookmark' },
      ],
      media_types: [{ base: 'application/json', type: 'application/vnd.openstack.ironic-python-agent.v1+json' }],
    });
  });

  test.each(['/v1/status', '/status'])('GET %s', async (url) => {
    expect((await setup(undefined).get(url)).json()).toEqual({ started_at: 1764.25, version: '0.1.0' });
  });

  test('GET /v1/status/ does not exist', async () => {
    const answer = await setup().get('/v1/status/');
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toEqual(fault('404 Not Found: The requested URL was not found on the server.'));
  });

  test.each([
    ['/v1?a=b', 'http://h:1/v1/?a=b'],
    ['/v1/commands?agent_token=x', 'http://h:1/v1/commands/?agent_token=x'],
    ['/commands', 'http://h:1/commands/'],
  ])('%s is a 308 to the path with a slash, query included', async (url, location) => {
    const answer = await setup().app.inject({ url, headers: { host: 'h:1' } });
    expect(answer.statusCode).toBe(308);
    expect(answer.headers.location).toBe(location);
  });

  test('HEAD answers as GET does, without a body', async () => {
    const { app } = setup();
    for (const url of ['/', '/v1/', '/v1/status', `/v1/commands/?agent_token=${TOKEN}`]) {
      const answer = await app.inject({ method: 'HEAD', url });
      expect([url, answer.statusCode, answer.body]).toEqual([url, 200, '']);
    }
  });

  test.each([
    ['OPTIONS', '/v1/commands/', 'GET, HEAD, POST'],
    ['DELETE', '/v1/commands/', 'GET, HEAD, POST'],
    ['PUT', '/commands', 'GET, HEAD, POST'],
    ['POST', '/v1/status', 'GET, HEAD'],
    ['OPTIONS', '/', 'GET, HEAD'],
    ['POST', '/v1/commands/an-id', 'GET, HEAD'],
  ] as const)('%s %s is 405 with Allow', async (method, url, allow) => {
    const answer = await setup().app.inject({ method, url });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers['allow']).toBe(allow);
    expect(answer.json().faultstring).toMatch(/^405 Method Not Allowed: /);
  });
});

describe('the token', () => {
  const refused = fault('401 Unauthorized: Token invalid.');

  test.each(['', '?agent_token=', '?agent_token=wrong', `?agent_token=${TOKEN}x`, `?token=${TOKEN}`])(
    'is needed for the list, one result and a command: %s is not enough',
    async (query) => {
      const { get, post } = setup();
      for (const answer of [
        await get(`/v1/commands/${query}`),
        await get(`/v1/commands/some-id${query}`),
        await post(SYNC, `/v1/commands/${query}`),
      ]) {
        expect(answer.statusCode).toBe(401);
        expect(answer.json()).toEqual(refused);
      }
    },
  );

  test('as a header counts for nothing', async () => {
    const { app } = setup();
    const answer = await app.inject({ url: '/v1/commands/', headers: { authorization: `Bearer ${TOKEN}` } });
    expect(answer.statusCode).toBe(401);
  });

  test('that nobody has lets nobody in', async () => {
    const { get } = setup('');
    expect((await setup(undefined as never).get('/v1/commands/?agent_token=undefined')).statusCode).toBe(401);
    expect((await get('/v1/commands/')).statusCode).toBe(401);
  });

  test('never reaches the log, however it is spelt', async () => {
    const { get, post, log } = setup();
    await post(SYNC);
    await get(`/v1/commands/?agent_token=${TOKEN}`);
    await get(`/v1/commands/?agent%5Ftoken=${TOKEN}&wait=true`);
    await get(`/nowhere?%E0%A4%A=1&agent_token=${TOKEN}`);
    await vi.waitFor(() => expect(log).toHaveBeenCalledTimes(4));
    const lines = log.mock.calls.map(([line]) => line);
    expect(lines.filter((line) => line.includes(TOKEN))).toEqual([]);
    expect(lines[0]).toMatch(/^127\.0\.0\.1 - POST \/v1\/commands\/\?wait=true&agent_token=\*\*\* - 200 \(\d+ms\)$/);
  });

  test.each([
    [{}, '127.0.0.1'],
    [{ 'x-forwarded-for': '192.0.2.7, 10.0.0.1' }, '192.0.2.7'],
    [{ 'x-real-ip': '2001:db8::7' }, '2001:db8::7'],
    [{ 'x-forwarded-for': '192.0.2.7', 'x-real-ip': '192.0.2.8' }, '192.0.2.7'],
    [{ 'x-forwarded-for': ' ', 'x-real-ip': '192.0.2.8' }, '192.0.2.8'],
    [{ 'x-forwarded-for': '192.0.2.7'.padEnd(100, '7') }, '192.0.2.7'.padEnd(64, '7')],
  ] as const)('stands in no log line, but who asked does: %j', async (headers, client) => {
    const { app, log } = setup();
    await app.inject({ url: `/v1/commands/?agent_token=${TOKEN}`, headers });
    await vi.waitFor(() => expect(log).toHaveBeenCalledTimes(1));
    expect(log.mock.calls[0]?.[0]).toMatch(/ - GET \/v1\/commands\/\?agent_token=\*\*\* - 200 /);
    expect(log.mock.calls[0]?.[0].startsWith(`${client} - `)).toBe(true);
  });

  test('is asked for before a large body is read, and after a small one', async () => {
    const { post } = setup();
    const large = { name: 'standby.sync', params: { x: 'a'.repeat(2 * 1024 ** 2) } };
    expect((await post(large, '/v1/commands/')).statusCode).toBe(401);
    expect((await post(large)).statusCode).toBe(400);
    expect((await post('garbage', '/v1/commands/')).statusCode).toBe(400);
  });
});

describe('commands', () => {
  test('are run and listed, oldest first', async () => {
    const { post, get } = setup();
    const first = await post(SYNC);
    expect(first.statusCode).toBe(200);
    expect(first.json()).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      command_name: 'sync',
      command_status: 'SUCCEEDED',
      command_error: null,
      command_result: null,
    });
    const second = await post({ name: 'standby.fail', params: {} });
    expect(second.statusCode).toBe(200);
    expect(second.json()).toMatchObject({
      command_name: 'standby.fail',
      command_status: 'FAILED',
      command_error: {
        type: 'CommandExecutionError',
        code: 500,
        message: 'Command execution failed',
        details: 'it broke',
      },
    });
    expect((await get(`/v1/commands/?agent_token=${TOKEN}`)).json()).toEqual({
      commands: [first.json(), second.json()],
    });
    expect((await get(`/v1/commands/${first.json().id}?agent_token=${TOKEN}`)).json()).toEqual(first.json());
  });

  test('an async command answers RUNNING; wait=TRUE on its result answers when it is done', async () => {
    const { post, get } = setup();
    const url = `/commands/?wait=false&agent_token=${TOKEN}`;
    const started = (await post({ name: 'standby.slow', params: {} }, url)).json();
    expect(started.command_status).toBe('RUNNING');
    const busy = await post(SYNC);
    expect(busy.statusCode).toBe(409);
    expect(busy.json()).toEqual(fault('Agent is busy: executing command slow'));
    const waiting = get(`/v1/commands/${started.id}?wait=TRUE&agent_token=${TOKEN}`);
    await vi.waitFor(() => expect(open).toHaveLength(1));
    open[0]?.();
    expect((await waiting).json()).toMatchObject({ id: started.id, command_status: 'SUCCEEDED' });
  });

  test('the body is JSON whatever the header says', async () => {
    const { app } = setup();
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'nonsense', undefined]) {
      const answer = await app.inject({
        method: 'POST',
        url: `/v1/commands/?agent_token=${TOKEN}`,
        payload: Buffer.from(JSON.stringify(SYNC)),
        headers: type === undefined ? {} : { 'content-type': type },
      });
      expect([type, answer.statusCode]).toEqual([type, 200]);
    }
  });

  test.each([
    ['garbage', 400, /^400 Bad Request: Failed to decode JSON object: /],
    ['', 400, /^400 Bad Request: Failed to decode JSON object: /],
    ['null', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['[]', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['{"params":{}}', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['{"name":"standby.sync"}', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['{"name":"standby.sync","params":[]}', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['{"name":7,"params":{}}', 400, /^400 Bad Request: Missing or invalid name or params$/],
    ['{"name":"nodot","params":{}}', 400, /^Invalid command: Command name must be of the form <extension>.<name>$/],
    ['{"name":"standby.nosuch","params":{}}', 400, /^Invalid command: Unknown command: nosuch$/],
    ['{"name":"nosuch.thing","params":{}}', 404, /^Not found: Extension with id nosuch not found\.$/],
    ['{"name":"standby.sync","params":{"x":"1"}}', 400, /^Invalid command parameters: .*x must be integer/],
  ])('body %s is %i', async (body, status, words) => {
    const { post, runner } = setup();
    const answer = await post(body);
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toEqual({ faultcode: 'Client', faultstring: expect.stringMatching(words) });
    expect(runner.history()).toEqual([]);
  });

  test('the error for a bad body does not repeat the body, which may hold secrets', async () => {
    const answer = await setup().post('{"password": hunter2}');
    expect(answer.body).not.toContain('hunter');
  });

  test('an unknown parameter is a FAILED TypeError, not an HTTP error', async () => {
    const answer = await setup().post({ name: 'standby.sync', params: { y: 1 } });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ command_status: 'FAILED', command_error: { type: 'TypeError', code: 500 } });
  });

  test('an unknown result is 404', async () => {
    const answer = await setup().get(`/v1/commands/null?agent_token=${TOKEN}`);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toEqual(fault('Not found: Command Result with id null not found.'));
  });
});

// Hundreds of requests, on a machine that may be busy with other things.
describe('anything at all', { timeout: 60_000 }, () => {
  test('as a body gives a fault or a result, never 500 and never a stack', async () => {
    const { post } = setup();
    const name = fc.oneof(
      fc.constantFrom('standby.sync', 'standby.fail', '__proto__.x', 'standby.__proto__'),
      fc.string(),
    );
    const body = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.json(),
      fc
        .record({ name, params: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()) })
        .map((v) => JSON.stringify(v)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        const answer = await post(text);
        expect([200, 400, 404]).toContain(answer.statusCode);
        expect(answer.body).not.toMatch(/\n\s+at |node_modules|\.ts:/);
        expect(typeof answer.json().faultstring).toBe(answer.statusCode >= 400 ? 'string' : 'undefined');
      }),
      { numRuns: 300 },
    );
  });

  test('as a path gives a fault', async () => {
    const { app } = setup();
    await fc.assert(
      fc.asyncProperty(fc.webPath(), fc.webQueryParameters(), async (path, query) => {
        const answer = await app.inject({ method: 'GET', url: `/${path}?${query}` });
        expect(answer.statusCode).toBeLessThan(500);
        const isFault = Object.keys(answer.json()).join() === 'faultcode,faultstring';
        expect(isFault).toBe(answer.statusCode >= 400);
      }),
      { numRuns: 200 },
    );
    for (const url of ['/%', '/v1/commands/%E0%A4%A', '//', '/v1/commands/..%2f..']) {
      const answer = await app.inject({ method: 'GET', url });
      expect([400, 401, 404]).toContain(answer.statusCode);
      expect(typeof answer.json().faultstring).toBe('string');
    }
  });
});
