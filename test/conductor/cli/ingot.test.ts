import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { systemRun, systemStart } from '../../../system/run.ts';
import { type SimulatedMachine, startMachine } from '../../fakes/simulated-machine.ts';

// These start the real programs: each takes most of a second before it does anything.
const TIMEOUT_MS = 60_000;
vi.setConfig({ testTimeout: 120_000, hookTimeout: TIMEOUT_MS });
const INGOT = 'bin/ingot.mjs';
const EVERY_CODE = Array.from({ length: 256 }, (_, code) => code);

let folder: string;
let machine: SimulatedMachine | undefined;
const conductors: ReturnType<typeof systemStart>[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-cli-'));
});
afterEach(async () => {
  await machine?.stop();
  machine = undefined;
  for (const child of conductors.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
  rmSync(folder, { recursive: true });
});

const ingot = (args: string[]) =>
  systemRun(process.execPath, [INGOT, ...args], { okExitCodes: EVERY_CODE, timeoutMs: TIMEOUT_MS });

async function startConductor(
  port = 0,
): Promise<{ child: ReturnType<typeof systemStart>; url: string; log: string[] }> {
  const parts = ['--deploy-kernel', 'package.json', '--deploy-ramdisk', 'package.json', '--http-root', folder];
  const child = systemStart(process.execPath, [
    INGOT,
    'conductor',
    '--json',
    '--port',
    String(port),
    '--state-dir',
    join(folder, 'state'),
    ...parts,
  ]);
  conductors.push(child);
  const log: string[] = [];
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => log.push(line));
  const [line] = (await Promise.race([
    once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line'),
    once(child, 'exit').then(() => {
      throw new Error(`the conductor ended\n${log.join('\n')}`);
    }),
  ])) as [string];
  const facts = JSON.parse(line) as { event: string; url: string };
  expect(facts.event).toBe('listening');
  return { child, url: facts.url, log };
}

function createArgs(bmcUrl: string, mac: string): string[] {
  const bmc = [
    '--redfish-address',
    bmcUrl,
    '--redfish-system-id',
    '/redfish/v1/Systems/1',
    '--redfish-username',
    'admin',
    '--redfish-password',
    's3cret',
  ];
  return [
    'node',
    'create',
    'n1',
    ...bmc,
    '--mac',
    mac,
    '--root-device',
    'serial=DISK0',
    '--property',
    'rack=7',
    '--json',
  ];
}

describe('ingot', () => {
  test.each([
    [['--help'], 0, 'Usage: ingot COMMAND'],
    [['node', 'deploy', '--help'], 0, '--image URL|FILE'],
    [['conductor', '--help'], 0, 'has no login'],
    [['--version'], 0, 'ingot 0.'],
    [[], 2, 'no command was given'],
    [['node'], 2, 'no command was given'],
    [['nonsense'], 2, 'there is no command nonsense'],
    [['node', 'list', '--nonsense'], 2, '--nonsense'],
    [['node', 'show'], 2, 'name or uuid of a node is missing'],
    [['node', 'create', 'n1'], 2, '--redfish-address is missing'],
    [['conductor', '--deploy-kernel', 'package.json'], 2, 'go together'],
    [['conductor', '--host', '0.0.0.0'], 2, '--public-url'],
    [['conductor', '--http-root', '/nonsense'], 1, '/nonsense'],
    [['node', 'list', '--api', 'http://127.0.0.1:9'], 3, 'cannot reach the conductor at http://127.0.0.1:9'],
  ])('%j ends with %i', async (args, code, text) => {
    const result = await ingot(args);
    expect(result.stdout + result.stderr).toContain(text);
    expect(result.exitCode).toBe(code);
    // Answers go to standard output, complaints to standard error.
    expect(code === 0 ? result.stderr : result.stdout).toBe('');
  });
});

describe('the conductor', () => {
  test('ends with 0 when it is asked to, and refuses to run twice on one state', async () => {
    const { child } = await startConductor();
    await expect(startConductor()).rejects.toThrow('another conductor has it open');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

describe('a machine, by the command line alone', () => {
  test('goes from nothing to active, with a conductor that is killed while the image is written', async () => {
    const first = await startConductor();
    machine = await startMachine();
    machine.bootUrl = first.url;
    const api = ['--api', first.url];

    const created = await ingot([...createArgs(machine.bmc.url, machine.mac), ...api]);
    expect({ code: created.exitCode, error: created.exitCode === 0 ? '' : created.stderr }).toEqual({
      code: 0,
      error: '',
    });
    expect(JSON.parse(created.stdout)).toMatchObject({
      provision_state: 'manageable',
      properties: { root_device: { serial: 'DISK0' }, rack: 7 },
      driver_info: { redfish_password: '******' },
    });

    const cleaned = await ingot(['node', 'clean', 'n1', ...api]);
    expect(cleaned.stdout).toBe('node n1 is available\n');

    const image = join(folder, 'disk.img');
    writeFileSync(image, 'an image');
    let finish = () => undefined as void;
    machine.behaviour.onStep = (_step, command) => {
      command.progress = { phase: 'write', done: 1_000_000, total: 4_000_000, unit: 'bytes' };
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    const words = ['node', 'deploy', 'n1', '--image', image, '--hostname', 'web1', '--ssh-key', 'ssh-ed25519 AAAA me'];
    const waiting = ingot([...words, ...api]);

    const end = Date.now() + 40_000;
    let shown = '';
    while (!shown.includes('25% of 4.0 MB') && Date.now() < end)
      shown = (await ingot(['node', 'show', 'n1', ...api])).stdout;
    expect(shown).toContain('write_image write 25% of 4.0 MB');
    const early = await ingot(['node', 'deploy', 'n1', '--image', image, '--no-wait', ...api]);
    expect([early.exitCode, early.stderr]).toEqual([1, expect.stringMatching(/cannot (active|change) node/)]);

    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    expect((await ingot(['node', 'list', ...api])).exitCode).toBe(3);
    await startConductor(Number(new URL(first.url).port));
    finish();
    const done = await ingot(['node', 'list', '--json', ...api]);
    expect(JSON.parse(done.stdout)).toHaveLength(1);
    // The command that waits was without a conductor for a moment, and did not give up.
    expect(await waiting).toMatchObject({ exitCode: 0, stdout: 'node n1 is active\n' });

    const refused = await ingot(['node', 'delete', 'n1', ...api]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining('in state "active"')]);
    expect((await ingot(['node', 'delete', 'n1', '--force', ...api])).exitCode).toBe(0);
    expect((await ingot(['node', 'show', 'n1', ...api])).stderr).toContain('cannot find node n1');
  });

  test('a dry run prints the plan, and RAID is wanted, made and shown', async () => {
    const { url } = await startConductor();
    machine = await startMachine();
    machine.bootUrl = url;
    const api = ['--api', url];
    await ingot([...createArgs(machine.bmc.url, machine.mac), ...api]);
    const method = { method: 'overwrite-zeros', category: 'clear', reason: 'nothing else', minutes: 12.3 };
    const plan = { '/dev/vda': { plan: { methods: [method], excluded: [] } }, '/dev/vdb': { left: 'it is read-only' } };
    const argsinfo = { dry_run: { description: '', required: false } };
    const create = { interface: 'raid', step: 'create_configuration' };
    machine.behaviour.cleanSteps = [{ interface: 'deploy', step: 'erase_devices' }, create].map((step) => ({
      ...step,
      priority: 0,
      argsinfo,
    }));
    let asked: unknown;
    machine.behaviour.onStep = (step) => {
      asked = step;
      return plan;
    };
    const dry = await ingot(['node', 'clean', 'n1', '--dry-run', ...api]);
    expect(dry).toMatchObject({
      exitCode: 0,
      stdout: [
        'deploy.erase_devices',
        '  /dev/vda: overwrite-zeros (clear), about 12.3 min: nothing else',
        '  /dev/vdb: left as it is: it is read-only',
        '',
      ].join('\n'),
    });
    expect(asked).toMatchObject({ step: 'erase_devices', args: { dry_run: true } });
    expect(JSON.parse((await ingot(['node', 'clean', 'n1', '--dry-run', '--json', ...api])).stdout)).toEqual([
      { step: 'deploy.erase_devices', plan },
    ]);

    const target = { logical_disks: [{ controller: 'software', raid_level: '1', size_gb: 'MAX' }] };
    expect((await ingot(['node', 'raid', 'n1', '--target', '[1]', ...api])).exitCode).toBe(2);
    const set = await ingot(['node', 'raid', 'n1', '--target', JSON.stringify(target), ...api]);
    expect(set.stdout).toBe(`there is  {}\nwanted is ${JSON.stringify(target)}\n`);
    machine.behaviour.onStep = () => target;
    expect((await ingot(['node', 'clean', 'n1', '--steps', JSON.stringify([create]), ...api])).exitCode).toBe(0);
    const { stdout } = await ingot(['node', 'raid', 'n1', '--json', ...api]);
    expect(JSON.parse(stdout)).toMatchObject({ raid_config: target, target_raid_config: target });
    expect((await ingot(['node', 'show', 'n1', ...api])).stdout).toMatch(/^RAID +\{"logical_disks"/m);
  });

  test('a flow that fails ends with 1 and its reason; one that takes too long with 4', async () => {
    const { url } = await startConductor();
    machine = await startMachine();
    machine.bootUrl = url;
    const api = ['--api', url];
    await ingot([...createArgs(machine.bmc.url, machine.mac), ...api]);

    machine.behaviour.onStep = () => {
      throw new Error('the disk is on fire');
    };
    const failed = await ingot(['node', 'clean', 'n1', '--json', ...api]);
    expect(failed.exitCode).toBe(1);
    const last = JSON.parse(failed.stderr.trim().split('\n').at(-1) ?? '') as { event: string; message: string };
    expect(last).toMatchObject({ event: 'error', message: expect.stringContaining('the disk is on fire') as string });

    machine.isolated = true;
    const slow = await ingot(['node', 'inspect', 'n1', '--timeout', '2', ...api]);
    expect([slow.exitCode, slow.stderr]).toEqual([4, expect.stringContaining('the conductor goes on')]);
    const aborted = await ingot(['node', 'abort', 'n1', ...api]);
    expect([aborted.exitCode, aborted.stdout]).toEqual([0, 'node n1 is inspect failed\n']);
    expect((await ingot(['node', 'power', 'n1', 'on', ...api])).stdout).toBe('node n1 is power on\n');
  });

  test(
    'an image that the conductor does not serve is refused with the way out',
    async () => {
      const { url } = await startConductor();
      machine = await startMachine();
      machine.bootUrl = url;
      await ingot([...createArgs(machine.bmc.url, machine.mac), '--no-manage', '--api', url]);
      const result = await ingot(['node', 'deploy', 'n1', '--image', 'package.json', '--api', url]);
      expect([result.exitCode, result.stderr]).toEqual([1, expect.stringContaining(`it is not in ${folder}`)]);
      const noSum = await ingot(['node', 'deploy', 'n1', '--image', 'http://host/a.raw', '--api', url]);
      expect([noSum.exitCode, noSum.stderr]).toEqual([2, expect.stringContaining('--checksum is missing')]);
    },
    TIMEOUT_MS,
  );

  test(
    'Ctrl-C while waiting leaves the work to the conductor and says so',
    async () => {
      const { url } = await startConductor();
      machine = await startMachine();
      machine.bootUrl = url;
      await ingot([...createArgs(machine.bmc.url, machine.mac), '--api', url]);
      machine.isolated = true;
      const child = systemStart(process.execPath, [INGOT, 'node', 'clean', 'n1', '--api', url]);
      let text = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('clean wait')) child.kill('SIGINT');
      });
      const [code] = (await once(child, 'exit')) as [number];
      expect([code, text]).toEqual([130, expect.stringContaining('the conductor goes on with cleaning of node n1')]);
      const { stdout } = await ingot(['node', 'show', 'n1', '--json', '--api', url]);
      expect(JSON.parse(stdout)).toMatchObject({ provision_state: 'clean wait' });
    },
    TIMEOUT_MS,
  );
});
