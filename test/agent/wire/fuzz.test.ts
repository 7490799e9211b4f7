import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

import * as fc from 'fast-check';
import { Value } from 'typebox/value';
import { afterEach, describe, expect, test } from 'vitest';

import { CommandListSchema, CommandResultSchema, FaultSchema } from '../../../agent/api/command.ts';
import { AgentError } from '../../../agent/api/errors.ts';
import { createApp } from '../../../agent/app.ts';
import { COMMANDS } from '../../../agent/commands/table.ts';
import { type AgentConfig, loadConfig, makeConfig } from '../../../agent/config/config.ts';
import { parseKernelParameters } from '../../../agent/config/kernel-parameters.ts';
import { applyLookup, applyMdns } from '../../../agent/config/overrides.ts';
import { unpackConfigDrive } from '../../../agent/disk/config-drive.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { createIronicClient } from '../../../agent/ironic/client.ts';
import type { Http } from '../../../agent/ironic/http.ts';
import { postInspection } from '../../../agent/ironic/inspection.ts';
import { chooseToken, readLookup } from '../../../agent/ironic/lookup.ts';
import { openState } from '../../../agent/state.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { machineOs } from '../../fakes/machine.ts';

const TOKEN = 'the-token-of-this-boot-with-32-characters';
const STACK = /\n\s+at |node_modules|\.ts:\d/;
const ROOM = { timeout: 120_000 };

let open: { close: () => Promise<unknown> }[] = [];
afterEach(async () => {
  for (const app of open) await app.close();
  open = [];
});

/** The agent's whole API with all of its commands, on a machine whose programs do not run and whose disks cannot be opened. */
function agent() {
  const log: string[] = [];
  const deps = fakeDeps({
    os: machineOs('qemu-q35', { clock: fakeClock() }),
    config: makeConfig(new Map([['ipa-image-download-connection-retries', '0']])),
  });
  const runner = createRunner({
    commands: COMMANDS,
    deps,
    signal: new AbortController().signal,
    log: (line) => log.push(line),
  });
  const app = createApp({
    runner,
    token: () => TOKEN,
    startedAt: 1,
    version: '0.1.0',
    log: (line) => log.push(line),
  });
  open.push(app);
  return { app, runner, log };
}

const key = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'valueOf',
    'toJSON',
    'length',
    'uuid',
    'step',
    'args',
    'urls',
    '',
  ),
  fc.string({ maxLength: 12 }),
);
const leaf = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -1,
    1e308,
    2 ** 53,
    '',
    '******',
    'true',
    '\u0000',
    '\ud800',
    '../../etc/shadow',
  ),
  fc.string({ maxLength: 40, unit: 'binary' }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
/** Any JSON, with names that mean something to JavaScript. */
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;
const object = fc.dictionary(key, json, { maxKeys: 5, noNullPrototype: true });

/** Mostly what a conductor would send, with something wrong in some place. */
const node = fc.oneof(
  json,
  fc.record({
    uuid: fc.oneof(fc.constant('u'), json),
    properties: fc.oneof(fc.record({ root_device: json, skip_block_devices: json }), json),
    instance_info: json,
    driver_internal_info: json,
  }),
);
const imageInfo = fc.oneof(
  json,
  fc.record({
    id: fc.oneof(fc.constant('i'), json),
    urls: fc.oneof(
      fc.constantFrom(['http://127.0.0.1:1/%E0%A4%A'], ['http://%:x@127.0.0.1:1/'], ['file:///etc/passwd']),
      json,
    ),
    os_hash_algo: fc.oneof(fc.constantFrom('sha256', '__proto__', 'shake256'), json),
    os_hash_value: fc.oneof(fc.constant('a'.repeat(64)), json),
    checksum: fc.oneof(fc.constantFrom('http://127.0.0.1:1/sum', 'a'.repeat(32)), json),
    proxies: json,
    image_request_authorization: json,
    configdrive: json,
  }),
);
const params = fc.oneof(
  json,
  object,
  fc.record({
    step: fc.oneof(
      json,
      fc.record({
        step: fc.oneof(fc.constantFrom('write_image', 'erase_devices_metadata', '__proto__', 'toString'), json),
        interface: json,
        args: fc.oneof(fc.record({ image_info: imageInfo, configdrive: json }), json),
      }),
    ),
    node,
    ports: fc.oneof(fc.constant([]), json),
  }),
  fc.record({ node, ports: fc.oneof(fc.constant([]), json) }),
  fc.record({ image_info: imageInfo, configdrive: fc.oneof(fc.constant(gzipSync('x').toString('base64')), json) }),
  fc.record({ rescue_password: json, hashed: json }),
  fc.record({
    flow: fc.oneof(fc.array(fc.dictionary(fc.constantFrom('standby.sync', 'flow.start_flow', 'x.y'), json)), json),
  }),
);
const name = fc.oneof(
  { arbitrary: fc.constantFrom(...COMMANDS.map((command) => command.name)), weight: 9 },
  fc.constantFrom('__proto__.constructor', 'standby.__proto__', 'constructor.name', '.', 'a.b.c', 'standby.'),
  fc.string({ maxLength: 20, unit: 'binary' }),
);

describe('anything that a conductor could send', () => {
  test('to any command is a result or a fault of the right shape, and leaves the list whole', ROOM, async () => {
    const { app, runner } = agent();
    const url = `/v1/commands/?wait=true&agent_token=${TOKEN}`;
    await fc.assert(
      fc.asyncProperty(name, params, async (command, value) => {
        const answer = await app.inject({
          method: 'POST',
          url,
          payload: JSON.stringify({ name: command, params: value }),
        });
        expect([200, 400, 404, 409]).toContain(answer.statusCode);
        expect(answer.body).not.toMatch(STACK);
        const schema = answer.statusCode === 200 ? CommandResultSchema : FaultSchema;
        expect(Value.Errors(schema, answer.json())).toEqual([]);
        expect(runner.history().at(-1)?.command_status).not.toBe('RUNNING');
      }),
      { numRuns: 400 },
    );
    const list = await app.inject({ url: `/v1/commands/?agent_token=${TOKEN}` });
    expect(Value.Errors(CommandListSchema, list.json())).toEqual([]);
    expect(({} as Record<string, unknown>)['step']).toBeUndefined();
  });

  test.each([
    ['deep', `{"name": "standby.sync", "params": ${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`],
    ['deep and no end', '['.repeat(200_000)],
    [
      'a deep flow',
      `{"name": "flow.start_flow", "params": {"flow": ${'[{"flow.start_flow": {"flow": '.repeat(2000)}[]${'}}]'.repeat(2000)}}}`,
    ],
    [
      'a deep step',
      `{"name": "clean.execute_clean_step", "params": {"node": {"uuid": "u"}, "ports": [], "step": {"step": "x", "args": ${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}}}`,
    ],
    ['names twice', '{"name": "standby.sync", "name": "nosuch.x", "params": {}, "params": []}'],
    ['a name with __proto__', '{"__proto__": {"name": "standby.sync", "params": {}}}'],
    ['parameters with __proto__', '{"name": "poll.get_hardware_info", "params": {"__proto__": {"x": 1}}}'],
    ['no number', '{"name": "standby.sync", "params": {"x": NaN}}'],
    ['a mark of byte order', '\ufeff{"name": "standby.sync", "params": {}}'],
    ['half a character', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
    ['nothing but zeros', Buffer.alloc(1000)],
    ['a long name', JSON.stringify({ name: `${'a'.repeat(900_000)}.b`, params: {} })],
    [
      'many parameters',
      JSON.stringify({
        name: 'standby.sync',
        params: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])),
      }),
    ],
  ])('with a body that has %s', ROOM, async (_, payload) => {
    const { app } = agent();
    const answer = await app.inject({ method: 'POST', url: `/v1/commands/?wait=true&agent_token=${TOKEN}`, payload });
    expect([200, 400, 404]).toContain(answer.statusCode);
    expect(answer.body).not.toMatch(STACK);
    expect(answer.body.length).toBeLessThan(2 ** 21);
    const list = await app.inject({ url: `/v1/commands/?agent_token=${TOKEN}` });
    expect(Value.Errors(CommandListSchema, list.json())).toEqual([]);
  });

  test('as path, query, method and headers is answered, with the token in no line of the log', ROOM, async () => {
    const { app, log } = agent();
    const header = fc.dictionary(
      fc.constantFrom(
        'content-type',
        'x-forwarded-for',
        'x-real-ip',
        'accept',
        'if-match',
        'range',
        'expect',
        'authorization',
      ),
      fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, '')),
    );
    const query = fc.array(
      fc.tuple(
        fc.constantFrom('agent_token', 'agent%5ftoken', 'wait', 'agent_token[]', '%', '__proto__', 'a', TOKEN),
        fc.constantFrom(TOKEN, encodeURIComponent(TOKEN), 'true', '%E0%A4%A', '', `${TOKEN}&wait=TRUE`),
      ),
      { maxLength: 5 },
    );
    const path = fc.oneof(
      fc.constantFrom('/v1/commands/', '/commands', '/v1/commands/x', '/', '/v1', '//', '/v1/%2e%2e/'),
      fc.webPath(),
    );
    const method = fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH');
    await fc.assert(
      fc.asyncProperty(method, path, query, header, async (verb, where, pairs, headers) => {
        const url = `${where || '/'}?${pairs.map((pair) => pair.join('=')).join('&')}`;
        const answer = await app.inject({ method: verb, url, headers });
        expect(answer.statusCode).toBeLessThan(500);
        expect(answer.body).not.toMatch(STACK);
        const isFault = answer.statusCode >= 400 && verb !== 'HEAD';
        expect(isFault ? Value.Errors(FaultSchema, answer.json()) : []).toEqual([]);
      }),
      { numRuns: 300 },
    );
    expect(log.filter((line) => line.includes(TOKEN))).toEqual([]);
  });

  test('as bytes on the wire ends with an answer or the connection, and the next one is served', ROOM, async () => {
    const { app } = agent();
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    /** Sends bytes, and the end of them; what comes back until the other side closes. */
    const speak = (bytes: Uint8Array | string): Promise<string> =>
      new Promise((resolve, reject) => {
        let text = '';
        const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
        socket.on('data', (chunk) => (text += chunk.toString('latin1')));
        socket.on('close', () => resolve(text));
        socket.on('error', (error: NodeJS.ErrnoException) =>
          error.code === 'ECONNRESET' ? resolve(text) : reject(error),
        );
      });
    const piece = fc.constantFrom(
      'GET ',
      'POST ',
      '/v1/commands/',
      ' HTTP/1.1\r\n',
      ' HTTP/9.9\r\n',
      'Host: x\r\n',
      'Content-Length: 5\r\n',
      'Content-Length: -1\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Expect: 100-continue\r\n',
      'Upgrade: x\r\nConnection: upgrade\r\n',
      'ffffffffff\r\n',
      '0\r\n\r\n',
      '\r\n',
      '{"name":',
      '\u0000',
      `X: ${'y'.repeat(20_000)}\r\n`,
      '\x16\x03\x01\x02',
    );
    const bytes = fc.oneof(
      fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join('')),
      fc.uint8Array({ maxLength: 300 }),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (sent) => {
        const answer = await speak(sent);
        expect(answer).not.toMatch(/HTTP\/1\.1 5\d\d/);
        expect(answer).not.toMatch(STACK);
      }),
      { numRuns: 150 },
    );
    expect(await speak('GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
  });
});

const messageOf = (work: () => unknown): string => {
  try {
    work();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

/** A failure with words for people, or none. */
function isHonest(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    return (
      (error instanceof Failure || error instanceof AgentError) && error.message !== '' && !STACK.test(error.message)
    );
  }
}

const PARAMETER = fc.constantFrom(
  'ipa-api-url',
  'ipa-agent-token',
  'ipa-listen-port',
  'ipa-lookup-timeout',
  'ipa-insecure',
  'ipa-tls-min-version',
  'ipa-inspection-collectors',
  'BOOTIF',
  'ipa-global-request-id',
  'ipa-ntp-server',
  'boot_method',
  '__proto__',
  'ipa-debug',
);
const OPTION = fc.constantFrom(
  'api_url',
  'agent_token',
  'listen_port',
  'insecure',
  'cafile',
  'allowed_containers',
  'permitted_image_formats',
  '__proto__',
);

describe('anything that a boot could bring', () => {
  test('on the kernel’s command line is a configuration or a failure that keeps the token to itself', ROOM, () => {
    const secret = 'canary-token-canary-token-canary-token';
    const value = fc.oneof(
      fc.constantFrom(secret, 'true', '-1', '1e9', '0x10', 'https://[::1', 'http://a b'),
      fc.string({ unit: 'binary' }),
    );
    const line = fc
      .array(
        fc.tuple(PARAMETER, value).map((pair) => pair.join('=')),
        { maxLength: 6 },
      )
      .map((words) => words.join(' '));
    fc.assert(
      fc.property(fc.oneof(line, fc.string({ unit: 'binary' })), (text) => {
        expect(isHonest(() => makeConfig(parseKernelParameters(text)))).toBe(true);
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        const values = new Map([
          ['ipa-agent-token', `${secret}\n${text}`],
          ['ipa-listen-port', 'x'],
        ]);
        expect(messageOf(() => makeConfig(values))).not.toContain(secret);
      }),
    );
  });

  test('in configuration files is a configuration or a failure', ROOM, () => {
    const text = fc
      .array(
        fc.oneof(
          fc.constantFrom('[DEFAULT]', '[mdns]', '[', '[]', ' going on', '# no', '=', '\t', 'a', '[__proto__]', '\r'),
          fc
            .tuple(OPTION, fc.constantFrom('=', ':', ' = ', ''), fc.string({ maxLength: 20 }))
            .map((parts) => parts.join('')),
          fc.string({ unit: 'binary', maxLength: 30 }),
        ),
        { maxLength: 8 },
      )
      .map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(text, text, (one, two) => {
        const sources = [one, two].map((content, index) => ({
          kind: 'file' as const,
          path: `/etc/${index}.conf`,
          text: content,
        }));
        expect(isHonest(() => loadConfig(sources))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('in the answer to a lookup is a node or a failure, and changes nothing that it may not', ROOM, () => {
    const config = fc.oneof(
      json,
      fc.record({
        heartbeat_timeout: fc.oneof(fc.constant(300), json),
        agent_token: json,
        tls_min_version: json,
        tls_cipher_suites: json,
        agent_containers: json,
        permitted_image_formats: json,
        disable_deep_image_inspection: json,
        agent_md5_checksum_enable: json,
      }),
    );
    const own = makeConfig(new Map());
    const types = (of: AgentConfig) =>
      Object.values(of).map((value) => (Array.isArray(value) ? 'array' : typeof value));
    fc.assert(
      fc.property(fc.oneof(json, fc.record({ node, config })), (body) => {
        expect(isHonest(() => chooseToken('t', readLookup(body).config.agent_token))).toBe(true);
        const fields = (body as { config?: unknown } | null)?.config;
        if (typeof fields !== 'object' || fields === null) return;
        const changed: AgentConfig = { ...own };
        const made = applyLookup(changed, fields as Record<string, unknown>);
        expect(made.problems.every((problem) => problem.length < 10_000)).toBe(true);
        expect(types({ ...changed, tlsCipherSuites: own.tlsCipherSuites })).toEqual(types({ ...own }));
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.oneof(
              OPTION.map((option) => `ipa_${option}`),
              fc.string(),
            ),
            fc.string(),
          ),
        ),
        (records) => {
          expect(isHonest(() => applyMdns({ ...own }, new Map(records)))).toBe(true);
        },
      ),
    );
  });

  test('as Ironic’s answer, of any status and text, is a failure in words or what was asked for', ROOM, async () => {
    const status = fc.constantFrom(200, 202, 204, 301, 400, 401, 404, 409, 500, 503, 999);
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      json.map((value) => JSON.stringify(value)),
      fc.constant('['.repeat(10_000)),
    );
    await fc.assert(
      fc.asyncProperty(status, text, async (code, body) => {
        const http: Http = async () => ({ status: code, text: body, localAddress: undefined, serverTime: undefined });
        const ironic = createIronicClient({ urls: ['http://ironic'], http });
        const outcomes = await Promise.allSettled([
          ironic.serverMinor(),
          ironic.lookup(['aa:bb:cc:dd:ee:ff']),
          ironic.heartbeat('uuid', { callback_url: 'https://x', agent_token: 't', agent_version: '1' }),
          postInspection({
            urls: ['http://ironic/v1/continue_inspection'],
            payload: {},
            http,
            requestId: undefined,
            clock: fakeClock(),
            onRetry: () => undefined,
            signal: new AbortController().signal,
          }),
        ]);
        for (const outcome of outcomes) {
          if (outcome.status === 'fulfilled') continue;
          expect(outcome.reason).toBeInstanceOf(Failure);
          expect((outcome.reason as Failure).message.length).toBeLessThan(500);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('in the files of its own state is a state, and a history that can be shown', ROOM, async () => {
    const file = fc.oneof(
      fc.string({ unit: 'binary' }),
      json.map((value) => JSON.stringify(value)),
      fc
        .array(
          fc.record({ id: json, command_name: json, command_status: json, command_error: json, command_result: json }),
        )
        .map((value) => JSON.stringify(value)),
      fc.record({ token: json, nodeUuid: json, callbackUrl: json }).map((value) => JSON.stringify(value)),
      fc.constant(undefined),
    );
    await fc.assert(
      fc.asyncProperty(file, file, file, async (state, commands, pem) => {
        const files = memoryFiles();
        for (const [path, text] of Object.entries({ 'state.json': state, 'commands.json': commands, 'agent.pem': pem }))
          if (text !== undefined) files.all.set(`/run/x/${path}`, text);
        const store = await openState(files, '/run/x');
        expect(['string', 'undefined']).toContain(typeof store.state().token);
        expect(Value.Errors(CommandListSchema, { commands: await store.history() })).toEqual([]);
        await store.certificate();
      }),
      { numRuns: 300 },
    );
  });

  test('as a config drive is one or is refused, whatever it unpacks to', ROOM, () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
      fc.base64String({ maxLength: 500 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(gzipSync(bytes).toString('base64'))),
      fc.uint8Array({ minLength: 20, maxLength: 500 }).map((bytes) => gzipSync(bytes).subarray(0, -9)),
    );
    fc.assert(
      fc.property(content, (bytes) => {
        expect(isHonest(() => unpackConfigDrive(bytes))).toBe(true);
      }),
      { numRuns: 500 },
    );
    // A few hundred kilobytes that unpack to more than a machine has.
    const bomb = Buffer.from(gzipSync(Buffer.alloc(200 * 1024 ** 2)).toString('base64'));
    expect(() => unpackConfigDrive(bomb)).toThrow('it is larger than 64 MiB');
  });
});
