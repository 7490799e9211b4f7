import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { runAgent } from '../../agent/agent.ts';
import { CommandListSchema, type CommandResult } from '../../agent/api/command.ts';
import { type Heartbeat, HeartbeatSchema } from '../../agent/api/ironic.ts';
import { DEPARTURE_COMMANDS } from '../../agent/commands/departures.ts';
import type { AgentDeps } from '../../agent/commands/deps.ts';
import { GENERIC } from '../../agent/commands/table.ts';
import type { CommandSpec } from '../../agent/engine/command-table.ts';
import { stepCommands } from '../../agent/engine/steps.ts';
import type { AgentParts } from '../../agent/parts.ts';
import { systemStart } from '../../system/run.ts';
import type { AgentOs } from '../../agent/os/door.ts';
import { createCertificate } from '../../agent/ironic/certificate.ts';
import { systemExchange } from '../../agent/os/datagram.ts';
import { mdnsAnswer } from '../fakes/mdns-responder.ts';
import { startUdpServer } from '../fakes/time-server.ts';
import { fakeOs, fakeRun, memoryFiles } from '../fakes/agent-os.ts';
import { fakeParts, INVENTORY, MAC } from '../fakes/agent-parts.ts';
import { fastClock } from '../fakes/clock.ts';
import { freePort } from '../fakes/free-port.ts';
import { type FakeIronic, NODE_UUID, type Seen, startFakeIronic, TOKEN } from '../fakes/ironic.ts';

const COMMANDS: CommandSpec<AgentDeps>[] = [
  ...stepCommands<AgentDeps>({
    managers: () => [
      {
        ...GENERIC,
        steps: async () => [
          {
            step: 'erase_devices_metadata',
            interface: 'deploy',
            priorities: { clean: 99 },
            run: async (_deps, _request, context) => context.progress({ phase: 'erase', done: 1, total: 1 }),
          },
          {
            step: 'erase_devices',
            interface: 'deploy',
            priorities: { clean: 10 },
            run: (_deps, _request, context) =>
              new Promise((_resolve, reject) =>
                context.signal.addEventListener('abort', () => reject(context.signal.reason as Error)),
              ),
          },
        ],
      },
    ],
    cacheNode: (deps, node) => (deps.node.current = node),
  }),
  {
    name: 'poll.get_hardware_info',
    mode: 'sync',
    summary: 'inventory',
    params: Type.Object({}),
    run: (deps) => deps.inventory(),
  },
  {
    name: 'test.node',
    mode: 'sync',
    summary: 'the node as it is known, and as Ironic knows it',
    params: Type.Object({}),
    run: async (deps) => ({ cached: deps.node.current, fresh: await deps.refreshNode() }),
  },
];

let ironic: FakeIronic;
let stateDirectory: string;
let agents: { stop: () => Promise<void> }[] = [];

beforeEach(async () => {
  ironic = await startFakeIronic();
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-agent-'));
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  agents = [];
  await ironic.close();
  await rm(stateDirectory, { recursive: true });
});

async function start(more = '', options: Partial<Parameters<typeof fakeParts>[0]> = {}, withApi = true) {
  const port = await freePort();
  const controller = new AbortController();
  const api = withApi ? `ipa-api-url=${ironic.url} ` : '';
  const { parts, output } = await fakeParts({
    cmdline: `${api}ipa-listen-host=127.0.0.1 ipa-listen-port=${port} ipa-advertise-port=${port} ${more}`,
    stateDirectory,
    os: fakeOs({ clock: fastClock(100) }),
    signal: controller.signal,
    commands: COMMANDS,
    ...options,
  });
  const running = runAgent(parts).catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  const agent = {
    parts,
    output,
    running,
    stop: async () => {
      controller.abort(new Error('stopped by the test'));
      await running.catch(() => undefined);
    },
  };
  agents.push(agent);
  return agent;
}

const isBeat = (seen: Seen): boolean => seen.path.startsWith('/v1/heartbeat/');
const nextBeat = async (): Promise<Heartbeat> => (await ironic.next(isBeat)).body as Heartbeat;
const beats = (): Heartbeat[] => ironic.seen.filter(isBeat).map((seen) => seen.body as Heartbeat);

/** What the conductor does: HTTPS, trusting nothing but the certificate of the heartbeat, TLS 1.3, token in the query. */
function call(beat: Heartbeat, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const url = `${beat.callback_url}${path}${path.includes('?') ? '&' : '?'}agent_token=${beat.agent_token}`;
    const sent = request(
      url,
      { method: body ? 'POST' : 'GET', ca: beat.agent_verify_ca, minVersion: 'TLSv1.3' },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) }));
      },
    );
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const command = async (beat: Heartbeat, name: string, params: unknown, wait = true): Promise<CommandResult> =>
  (await call(beat, `/v1/commands/?wait=${wait}`, { name, params })).body as CommandResult;
const history = async (beat: Heartbeat): Promise<CommandResult[]> => {
  const { body } = await call(beat, '/v1/commands/');
  expect(Value.Errors(CommandListSchema, body)).toEqual([]);
  return (body as { commands: CommandResult[] }).commands;
};

const node = { uuid: NODE_UUID, properties: { marked: true } };
const step = (name: string) => ({ step: { step: name, interface: 'deploy' }, node, ports: [] });

describe('an agent and Ironic', () => {
  test('lookup, heartbeat, commands over HTTPS, and a beat after an async one', async () => {
    const first = nextBeat();
    const agent = await start();
    const beat = await first;
    expect(ironic.seen.map(({ method, path }) => `${method} ${path}`).slice(0, 2)).toEqual(['GET /', 'GET /v1/lookup']);
    expect(ironic.seen[1]?.query.get('addresses')).toBe(MAC);
    expect(beat).toMatchObject({ agent_token: TOKEN, agent_version: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
    expect(Value.Errors(HeartbeatSchema, beat)).toEqual([]);
    expect(beat.callback_url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);

    const info = await command(beat, 'poll.get_hardware_info', {});
    expect(info).toMatchObject({ command_name: 'get_hardware_info', command_result: INVENTORY });
    const started = await command(beat, 'clean.execute_clean_step', step('erase_devices_metadata'), false);
    expect(started).toMatchObject({ command_name: 'execute_clean_step', command_error: null });
    await nextBeat(); // forced: the regular one would be 90 s away
    const list = await history(beat);
    expect(list.map((result) => [result.command_name, result.command_status])).toEqual([
      ['get_hardware_info', 'SUCCEEDED'],
      ['execute_clean_step', 'SUCCEEDED'],
    ]);
    expect(list[1]?.command_result).toEqual({ clean_result: null, clean_step: step('erase_devices_metadata').step });
    expect((await command(beat, 'test.node', {})).command_result).toMatchObject({
      cached: { properties: { marked: true } },
      fresh: { uuid: NODE_UUID, properties: {} },
    });
    expect(new Set(beats().map((sent) => JSON.stringify(sent))).size).toBe(1);
    expect(agent.output()).not.toContain(TOKEN);
    expect(agent.output()).toContain('execute_clean_step');
  });

  test('a wrong token and a wrong certificate get nowhere', async () => {
    const first = nextBeat();
    await start();
    const beat = await first;
    expect((await call({ ...beat, agent_token: 'wrong' }, '/v1/commands/')).status).toBe(401);
    const other = { ...beat };
    delete other.agent_verify_ca;
    await expect(call(other, '/v1/commands/')).rejects.toThrow(/self.signed/);
  });

  test('an Ironic that comes up late, and then refuses beats, is waited for', async () => {
    let refusals = 0;
    ironic.override = (seen) => {
      if (seen.path === '/v1/heartbeat/'.concat(NODE_UUID) && refusals < 5)
        return { status: 503, text: `busy ${refusals++}` };
      return seen.path === '/v1/lookup' && refusals++ < 2 ? { status: 404, text: 'not yet' } : undefined;
    };
    const agent = await start();
    await vi.waitFor(() => expect(beats().length).toBeGreaterThanOrEqual(4), 10_000);
    await vi.waitFor(() => expect(agent.output()).toContain('serving: Ironic took the heartbeat'));
    expect(agent.output()).toContain('Ironic answered 404: not yet');
    expect(agent.output()).toContain('Ironic answered 503: busy 4');
  });

  test('an old Ironic is served over plain HTTP, without certificate', async () => {
    await ironic.close();
    ironic = await startFakeIronic('1.65');
    const first = nextBeat();
    await start();
    const beat = await first;
    expect(beat.callback_url).toMatch(/^http:/);
    expect(beat).not.toHaveProperty('agent_verify_ca');
    const answer = await fetch(`${beat.callback_url}/v1/commands/?agent_token=${TOKEN}`);
    expect(await answer.json()).toEqual({ commands: [] });
  });
});

describe('what an agent is told while it runs', () => {
  test('mDNS says where Ironic is, and Ironic what to go by', async () => {
    const { port } = new URL(ironic.url);
    const responder = await startUdpServer((query) =>
      mdnsAnswer(query, {
        name: 'baremetal._openstack._tcp.local',
        target: 'localhost',
        port: Number(port),
        texts: ['protocol=http', 'ipa_ntp_server=192.0.2.123', 'ipa_insecure=1'],
        addresses: [],
      }),
    );
    const exchange: AgentOs['exchange'] = (datagram, accept, signal) => {
      const isTime = datagram.to[0]?.host === '192.0.2.123';
      const to = [{ host: '127.0.0.1', port: responder.port }];
      return systemExchange({ ...datagram, to, timeoutMs: isTime ? 1 : 2000 }, accept, signal);
    };
    ironic.override = (seen) => {
      if (seen.path !== '/v1/lookup') return undefined;
      const config = {
        heartbeat_timeout: 300,
        agent_token: TOKEN,
        tls_min_version: '1.3',
        agent_containers: { runner: 'x' },
      };
      return { status: 200, body: { node: { uuid: NODE_UUID }, config } };
    };
    try {
      const first = nextBeat();
      const os = fakeOs({ clock: fastClock(100), exchange });
      const agent = await start('ipa-api-url=mdns', { os }, false);
      const beat = await first;
      expect(agent.parts.config).toMatchObject({
        apiUrls: [`http://localhost:${port}`],
        ntpServer: '192.0.2.123',
        insecure: false,
        tlsMinVersion: '1.3',
      });
      expect(agent.output()).toContain('mDNS: ipa_insecure is not used: insecure is not in [mdns] allowed_overrides');
      expect(agent.output()).toContain('Ironic: agent_containers.runner=x is not used: podman or docker is needed');
      expect(agent.output()).toContain('cannot set the clock by 192.0.2.123');
      expect(agent.parts.store.state().overrides).toEqual({
        apiUrls: { value: [`http://localhost:${port}`], by: 'mDNS' },
        ntpServer: { value: '192.0.2.123', by: 'mDNS' },
        tlsMinVersion: { value: '1.3', by: 'Ironic' },
      });
      expect((await call(beat, '/v1/commands/')).status).toBe(200);
      const old = connect({ port: Number(new URL(beat.callback_url).port), host: '127.0.0.1', maxVersion: 'TLSv1.2' });
      const refused = await new Promise<Error>((resolve) => old.once('error', resolve));
      expect(refused.message).toMatch(/protocol version|alert/);
    } finally {
      responder.close();
    }
  });

  test('an operator’s own certificate is served, and Ironic is not told to trust it', async () => {
    const serverCertificate = createCertificate({
      host: '127.0.0.1',
      commonName: 'own',
      curve: 'p256',
      times: [Date.now()],
    });
    const first = nextBeat();
    await start('', { serverCertificate });
    const beat = await first;
    expect(beat.callback_url).toMatch(/^https:/);
    expect(beat).not.toHaveProperty('agent_verify_ca');
    expect((await call({ ...beat, agent_verify_ca: serverCertificate.certificate }, '/v1/commands/')).status).toBe(200);
  });

  test('without automatic TLS it is served over plain HTTP, under whatever protocol was configured', async () => {
    const first = nextBeat();
    const agent = await start('ipa-advertise-protocol=https', { config: { enableAutoTls: false } });
    const beat = await first;
    expect(beat.callback_url).toMatch(/^https:/);
    expect(beat).not.toHaveProperty('agent_verify_ca');
    const plain = beat.callback_url.replace('https', 'http');
    expect((await fetch(`${plain}/v1/commands/?agent_token=${TOKEN}`)).status).toBe(200);
    await agent.stop();
    const again = nextBeat();
    await start('ipa-advertise-protocol=https', { config: { enableAutoTls: false } });
    expect((await again).callback_url).toBe(beat.callback_url);
  });
});

describe('addresses', () => {
  const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

  test.skipIf(!hasIpv6)('IPv6 alone will do: URL, listening, callback and certificate', async () => {
    await ironic.close();
    ironic = await startFakeIronic('1.96', '::1');
    const first = nextBeat();
    await start('ipa-listen-host=[::1]');
    const beat = await first;
    expect(beat.callback_url).toMatch(/^https:\/\/\[::1\]:\d+$/);
    expect((await call(beat, '/v1/commands/')).status).toBe(200);
  });

  test('of several APIs the first that answers is used, and goes on being used', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    const first = nextBeat();
    const agent = await start(`ipa-api-url=${dead},${ironic.url}`, {}, false);
    expect((await first).callback_url).toMatch(/^https:\/\/127\.0\.0\.1:/);
    expect(agent.output()).not.toContain('NO_ANSWER');
  });
});

describe('an agent that died', () => {
  test('comes back as the one that Ironic knows; what it was doing is FAILED', async () => {
    const cmdline = `ipa-api-url=${ironic.url} ipa-listen-host=127.0.0.1 ipa-listen-port=PORT ipa-advertise-port=PORT`;
    const words = cmdline.replaceAll('PORT', String(await freePort()));
    const processes: ReturnType<typeof systemStart>[] = [];
    const startProcess = (): Promise<Heartbeat> => {
      const beat = nextBeat();
      processes.push(
        systemStart(process.execPath, ['test/fakes/agent-process.ts', words, stateDirectory], { stdio: 'inherit' }),
      );
      return beat;
    };
    try {
      const beat = await startProcess();
      const running = await command(beat, 'test.endless', {}, false);
      expect(running.command_status).toBe('RUNNING');
      const saved = await readdir(stateDirectory);
      expect(saved.filter((name) => !name.endsWith('.tmp')).toSorted()).toEqual([
        'agent.pem',
        'commands.json',
        'state.json',
      ]);
      for (const name of ['agent.pem', 'commands.json', 'state.json'])
        expect((await stat(join(stateDirectory, name))).mode & 0o777).toBe(0o600);
      const gone = new Promise((resolve) => processes[0]?.on('exit', resolve));
      processes[0]?.kill('SIGKILL');
      await gone;

      expect(await startProcess()).toEqual(beat); // token, certificate and address, though the lookup said ******
      expect(ironic.seen.filter(({ path }) => path === '/v1/lookup')).toHaveLength(2);
      const [result, ...others] = await history(beat);
      expect(others).toEqual([]);
      expect(result).toMatchObject({ id: running.id, command_name: 'endless', command_status: 'FAILED' });
      expect(result?.command_error?.details).toContain('was started again while endless was running');
    } finally {
      for (const child of processes) child.kill('SIGKILL');
    }
  });

  test('without its state is not let in again: it locks itself and takes the network down', async () => {
    const first = nextBeat();
    const before = await start();
    await first;
    await before.stop();
    await rm(stateDirectory, { recursive: true });
    const run = fakeRun({ 'ip link set eth0 down': '' });
    const files = memoryFiles({ '/sys/class/net/eth0/device/x': '', '/sys/class/net/lo/mtu': '' });
    const after = await start('', { os: fakeOs({ clock: fastClock(100), run, files }) });
    await vi.waitFor(() => expect(run.calls).toEqual(['ip link set eth0 down']));
    expect(after.output()).toContain('locked: this agent serves nobody');
    expect(beats()).toHaveLength(1);
  });

  test('or never heard the answer with its token waits for a new one, and leaves the network up', async () => {
    let asked = 0;
    ironic.override = (seen) => {
      if (seen.path !== '/v1/lookup') return undefined;
      asked += 1;
      const node = { uuid: NODE_UUID };
      const body = (agent_token: string) => ({ node, config: { heartbeat_timeout: 300, agent_token } });
      if (asked === 1) return { status: 200, text: '{"node": {"uuid": "6c8c0a0e-' };
      return { status: 200, body: body(asked < 4 ? '******' : TOKEN) };
    };
    const run = fakeRun({ 'ip link set eth0 down': '' });
    const files = memoryFiles({ '/sys/class/net/eth0/device/x': '' });
    const first = nextBeat();
    const agent = await start('', { os: fakeOs({ clock: fastClock(100), run, files }) });
    expect((await first).agent_token).toBe(TOKEN);
    expect(agent.output()).toContain('without a token: waiting for Ironic to give out a new one');
    expect(run.calls).toEqual([]);
    expect(asked).toBe(4);
  });

  test('outside of a ramdisk ends instead of touching the network', async () => {
    const first = nextBeat();
    const before = await start();
    await first;
    await before.stop();
    await rm(stateDirectory, { recursive: true });
    const run = fakeRun();
    const after = await start('', { inRamdisk: false, os: fakeOs({ clock: fastClock(100), run }) });
    await expect(after.running).rejects.toThrow('cannot get an agent token');
    expect(run.calls).toEqual([]);
  });
});

describe('an agent that is told to leave', () => {
  const leaving = () => {
    const run = fakeRun({ 'ip link set eth0 down': '' });
    const files = memoryFiles({ '/sys/class/net/eth0/device/x': '', '/sys/class/net/lo/mtu': '', '/run/ingot/x': '' });
    // Not faster: whoever gave the command has half a second of this clock to read the answer.
    return { run, files, os: fakeOs({ clock: fastClock(4), run, files }) };
  };

  test('for a rescue answers, ends its API and its heartbeats, and leaves the network alone', async () => {
    const { run, files, os } = leaving();
    const first = nextBeat();
    const agent = await start('', { os, commands: DEPARTURE_COMMANDS });
    const beat = await first;
    const rescued = await command(beat, 'rescue.finalize_rescue', { rescue_password: '$5$a$b', hashed: true }, false);
    expect(rescued).toMatchObject({ command_status: 'SUCCEEDED', command_result: null });
    await agent.running;
    await expect(call(beat, '/v1/commands/')).rejects.toThrow(/ECONNREFUSED|socket hang up/);
    const count = beats().length;
    expect(run.calls).toEqual([]);

    // Started again, it serves nobody.
    const again = await start('', { os, commands: DEPARTURE_COMMANDS });
    await vi.waitFor(() => expect(again.output()).toContain('rescued: no agent serves'));
    expect(files.all.get('/etc/ipa-rescue-config/ipa-rescue-password')).toBe('$5$a$b');
    expect(beats()).toHaveLength(count);
  });

  test('for a lock-down answers, takes the network down, and does so again when it is started again', async () => {
    const { run, files, os } = leaving();
    const first = nextBeat();
    const agent = await start('', { os, commands: DEPARTURE_COMMANDS });
    const beat = await first;
    expect((await command(beat, 'system.lockdown', {})).command_status).toBe('SUCCEEDED');
    await vi.waitFor(() => expect(run.calls).toEqual(['ip link set eth0 down']));
    await expect(call(beat, '/v1/commands/')).rejects.toThrow(/ECONNREFUSED|socket hang up/);
    expect(files.all.has('/run/ingot/locked')).toBe(true);
    await agent.stop();
    const again = await start('', { os, commands: DEPARTURE_COMMANDS });
    await vi.waitFor(() => expect(run.calls).toHaveLength(2));
    expect(again.output()).not.toContain('asking Ironic');
  });
});

describe('inspection', () => {
  const callback = (): string => `ipa-inspection-callback-url=${ironic.url}/v1/continue_inspection`;

  test('without API URL posts the inventory and then waits to be switched off', async () => {
    const posted = ironic.next((seen) => seen.path === '/v1/continue_inspection');
    const agent = await start(callback(), {}, false);
    const body = (await posted).body as Record<string, unknown>;
    expect(body).toMatchObject({
      inventory: INVENTORY,
      root_disk: { name: '/dev/sda' },
      boot_interface: MAC,
      configuration: {
        collectors: ['default', 'logs'],
        managers: [{ name: 'generic_hardware_manager', version: '1.2' }],
      },
      error: null,
    });
    expect(body['logs']).toMatch(/^H4sI/);
    await vi.waitFor(() => expect(agent.output()).toContain('waiting to be switched off'));
    expect(ironic.seen).toHaveLength(1);
  });

  test('with API URL goes on with the UUID it was told, and is not repeated after a restart', async () => {
    const first = nextBeat();
    const before = await start(callback());
    await first;
    const lookup = ironic.seen.find((seen) => seen.path === '/v1/lookup');
    expect(lookup?.query.get('node_uuid')).toBe(NODE_UUID);
    await before.stop();
    const second = nextBeat();
    await start(callback());
    await second;
    expect(ironic.seen.filter((seen) => seen.path === '/v1/continue_inspection')).toHaveLength(1);
  });

  test('that is refused leads to the lookup; one that cannot be handed in is tried until it can', async () => {
    let count = 0;
    ironic.override = (seen) => {
      if (seen.path !== '/v1/continue_inspection') return undefined;
      count += 1;
      return count <= 6 ? { status: 503, text: 'starting' } : { status: 404, text: 'no such node' };
    };
    const first = nextBeat();
    const agent = await start(callback());
    await first;
    expect(count).toBe(7);
    expect(agent.output()).toContain('answered 404: no such node');
  });

  test('names a collector that fails, or that nobody has, in its error', async () => {
    const posted = ironic.next((seen) => seen.path === '/v1/continue_inspection');
    const hardware: Partial<AgentParts['hardware']> = {
      rootDisk: async () => {
        throw new Error('no disk');
      },
    };
    const agent = await start(
      `${callback()} ipa-inspection-collectors=default,nonsense,extra-hardware ipa-disk-wait-attempts=1`,
      { hardware },
      false,
    );
    const body = (await posted).body as Record<string, unknown>;
    const lines = String(body['error']).split('\n');
    expect(lines[0]).toBe('The following errors were encountered:');
    expect(lines[1]).toMatch(/^\* no collector is called nonsense; there are default, .*logs$/);
    expect(lines[2]).toMatch(/^\* collector extra-hardware failed: cannot collect with hardware-detect: cannot run /);
    expect(lines).toHaveLength(3);
    expect(body).toHaveProperty('inventory');
    expect(body).not.toHaveProperty('root_disk');
    expect(body).not.toHaveProperty('logs');
    expect(agent.output()).toContain('inspection: no collector is called nonsense');
  });
});

test('an agent that was told nothing says so on the console and stays', async () => {
  const agent = await start('', {}, false);
  await vi.waitFor(() => expect(agent.output()).toContain('no ipa-api-url and no ipa-inspection-callback-url'));
  expect(ironic.seen).toEqual([]);
});

test('beats wait for the disks, because commands follow them', async () => {
  let tries = 0;
  const hardware: Partial<AgentParts['hardware']> = {
    rootDisk: async () => {
      tries += 1;
      if (tries < 4) throw new Error('no disk yet');
      return INVENTORY.disks[0] as never;
    },
  };
  const first = nextBeat();
  await start('', { hardware });
  await first;
  expect(tries).toBeGreaterThanOrEqual(4);
});

test.each([
  ['that says nothing about disks', undefined, 1],
  ['with root device hints', { root_device: { serial: 'x' } }, 2],
  ['with disks to skip', { skip_block_devices: [{ name: '/dev/sda' }] }, 2],
])('a node %s has its disks looked for as often as needed', async (_, properties, times) => {
  let looks = 0;
  const hardware: Partial<AgentParts['hardware']> = {
    rootDisk: async () => {
      looks += 1;
      return INVENTORY.disks[0] as never;
    },
  };
  if (properties !== undefined) ironic.properties = properties;
  const first = nextBeat();
  await start('', { hardware });
  await first;
  expect(looks).toBe(times);
});

test('Ironic is asked twice and told once before it takes the first beat: version, lookup, heartbeat', async () => {
  const first = nextBeat();
  await start('');
  await first;
  expect(ironic.seen.map(({ path }) => path)).toEqual(['/', '/v1/lookup', `/v1/heartbeat/${NODE_UUID}`]);
});
