import { readFile } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { judgeEvidence } from '../../../evidence/judge.ts';
import type { Envelope } from '../../../evidence/record.ts';
import { makeKey, signRecord } from '../../../evidence/sign.ts';
import { exampleRecord } from '../../evidence/example.ts';
import { type NodeJson, startTestConductor, type TestConductor } from '../../fakes/running-conductor.ts';
import { STEPS } from '../../fakes/simulated-agent.ts';
import { type SimulatedMachine, startMachine } from '../../fakes/simulated-machine.ts';

// Real connections and a real database: slower on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let conductor: TestConductor;
let machine: SimulatedMachine;

const IMAGE = {
  image_source: 'http://images.example/debian.qcow2',
  image_disk_format: 'qcow2',
  image_os_hash_algo: 'sha256',
  image_os_hash_value: 'a'.repeat(64),
};

beforeEach(async () => {
  conductor = await startTestConductor();
  machine = await startMachine();
});
afterEach(async () => {
  await machine.stop();
  await conductor.stop();
});

async function manageable(): Promise<void> {
  await conductor.register(machine);
  await conductor.provision('manage');
  await conductor.reach('manageable');
}

async function available(): Promise<void> {
  await manageable();
  await conductor.provision('provide');
  await conductor.reach('available');
}

async function deploying(more: object = {}): Promise<void> {
  await available();
  const patch = [{ op: 'replace', path: '/instance_info', value: IMAGE }];
  expect((await conductor.call('PATCH', '/v1/nodes/n1', patch)).status).toBe(200);
  expect(await conductor.provision('active', more)).toMatchObject({ status: 202 });
}

/** A promise and what ends it, to hold a step of the agent as long as the test wants. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => undefined as void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`condition not met\n${conductor.logLines.slice(-15).join('')}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const commandNames = () => machine.agent?.requests.map((request) => request.name) ?? [];

describe('the whole way', () => {
  test('a machine is verified, inspected, cleaned and deployed', async () => {
    await manageable();
    await conductor.provision('inspect');
    const inspected = await conductor.reach('manageable', 'inspect failed');
    expect(inspected).toMatchObject({
      last_error: null,
      power_state: 'power off',
      properties: { cpu_arch: 'x86_64', memory_mb: 1024 },
    });
    expect(machine.kernelLines[0]).toContain('/v1/continue_inspection');
    expect(machine.kernelLines[0]).not.toContain('ipa-api-url');
    const { body } = await conductor.call('GET', '/v1/nodes/n1/inventory');
    expect(body).toMatchObject({ inventory: { disks: [{ name: '/dev/vda' }] } });

    const cleaned: unknown[] = [];
    machine.behaviour.onStep = (step) => void cleaned.push(step['step']);
    await conductor.provision('provide');
    const clean = await conductor.reach('available', 'clean failed');
    expect(clean).toMatchObject({ last_error: null, power_state: 'power off' });
    expect(cleaned).toEqual(['erase_devices_metadata', 'erase_devices']);
    expect(clean.driver_internal_info['ingot_ramdisk_boot_seconds']).toBeGreaterThan(0);

    await conductor.call('PATCH', '/v1/nodes/n1', [{ op: 'replace', path: '/instance_info', value: IMAGE }]);
    let names: string[] = [];
    let written: Record<string, unknown> = {};
    machine.behaviour.onStep = (step) => {
      written = step;
    };
    machine.behaviour.onCommand = () => {
      names = commandNames();
      return {};
    };
    await conductor.provision('active', {
      configdrive: { meta_data: { hostname: 'web1', public_keys: { a: 'ssh-ed25519 AAAA' } } },
    });
    const active = await conductor.reach('active', 'deploy failed');
    expect(active).toMatchObject({ last_error: null, power_state: 'power on', target_provision_state: null });
    expect(names).toEqual([
      'deploy.get_deploy_steps',
      'deploy.execute_deploy_step',
      'standby.get_partition_uuids',
      'image.install_bootloader',
      'standby.sync',
    ]);
    expect(written).toMatchObject({
      step: 'write_image',
      interface: 'deploy',
      args: {
        image_info: { id: 'debian.qcow2', urls: [IMAGE.image_source], disk_format: 'qcow2', os_hash_algo: 'sha256' },
      },
    });
    expect((written['args'] as { configdrive: string }).configdrive).toMatch(/^H4sI/);
    expect(machine.boots).toEqual(['inspect', 'agent', 'agent', 'disk']);
    expect(machine.bmc.boot).toEqual({ target: 'Hdd', enabled: 'Continuous' });
  });

  test('undeploying cleans the machine and makes it available again', async () => {
    await deploying();
    await conductor.reach('active');
    await conductor.provision('deleted');
    const node = await conductor.reach('available', 'error', 'clean failed');
    expect(node).toMatchObject({ provision_state: 'available', instance_info: {}, last_error: null });
    expect(machine.boots.slice(-2)).toEqual(['disk', 'agent']);
  });

  test('a machine that does not switch itself off is switched off by its BMC', async () => {
    machine.behaviour.onCommand = () => ({});
    await deploying();
    await until(() => machine.agent !== undefined);
    const agent = machine.agent;
    // The agent takes the command, and nothing happens.
    machine.bmc.setPower = () => undefined;
    await conductor.reach('active', 'deploy failed');
    expect(agent?.requests.map((request) => request.name)).toContain('standby.power_off');
    expect((await conductor.node()).provision_state).toBe('active');
  }, 60_000);
});

describe('cleaning', () => {
  test('steps that an operator chose run in their order and end in manageable', async () => {
    await manageable();
    const done: unknown[] = [];
    machine.behaviour.onStep = (step) => void done.push([step['step'], step['args']]);
    const clean_steps = [
      { interface: 'deploy', step: 'erase_devices_express', args: { a: 1 } },
      { interface: 'deploy', step: 'erase_devices_metadata' },
    ];
    await conductor.provision('clean', { clean_steps });
    expect((await conductor.reach('manageable', 'clean failed')).last_error).toBeNull();
    expect(done).toEqual([
      ['erase_devices_express', { a: 1 }],
      ['erase_devices_metadata', undefined],
    ]);
  });

  test('a chosen step that the agent does not have fails before anything is erased', async () => {
    await manageable();
    const done: unknown[] = [];
    machine.behaviour.onStep = (step) => void done.push(step['step']);
    await conductor.provision('clean', {
      clean_steps: [STEPS.metadata, { interface: 'deploy', step: 'erase_moon' }].map(({ step, interface: i }) => ({
        step,
        interface: i,
      })),
    });
    const node = await conductor.reach('clean failed');
    expect(node.last_error).toContain('no clean step deploy.erase_moon');
    expect(node.last_error).toContain('deploy.erase_devices_metadata');
    expect(done).toEqual([]);
  });

  test('a step that asks for it is followed by a reboot and the next step', async () => {
    await manageable();
    const done: unknown[] = [];
    machine.behaviour.cleanSteps = [STEPS.firmware, STEPS.erase];
    machine.behaviour.onStep = (step) => void done.push(step['step']);
    await conductor.provision('provide');
    expect((await conductor.reach('available', 'clean failed')).last_error).toBeNull();
    expect(done).toEqual(['update_firmware', 'erase_devices']);
    expect(machine.boots).toEqual(['agent', 'agent']);
  });

  test('changed hardware managers make automated cleaning start anew', async () => {
    await manageable();
    const done: unknown[] = [];
    machine.behaviour.onStep = (step) => {
      done.push(step['step']);
      if (done.length === 1) machine.behaviour.versions = { ingot: '0.2.0' };
    };
    await conductor.provision('provide');
    expect((await conductor.reach('available', 'clean failed')).last_error).toBeNull();
    expect(done).toEqual(['erase_devices_metadata', 'erase_devices_metadata', 'erase_devices']);
  });

  test('hardware managers that change all the time are given up', async () => {
    await manageable();
    let version = 0;
    Object.defineProperty(machine.behaviour, 'versions', { get: () => ({ ingot: String((version += 1)) }) });
    await conductor.provision('provide');
    expect((await conductor.reach('clean failed')).last_error).toContain('keep changing their versions');
  });

  test('an agent without steps leaves the node available', async () => {
    await manageable();
    machine.behaviour.cleanSteps = [STEPS.express];
    await conductor.provision('provide');
    expect((await conductor.reach('available', 'clean failed')).last_error).toBeNull();
  });
});

describe('what goes wrong', () => {
  test("a failed write ends in deploy failed, with the agent's own words, its logs and the machine off", async () => {
    machine.behaviour.onCommand = (name) =>
      name === 'log.collect_system_logs' ? { system_logs: Buffer.from('logs').toString('base64') } : {};
    machine.behaviour.onStep = (step) => {
      if (step['step'] === 'write_image') throw new Error('device /dev/vda: no space left');
    };
    await deploying();
    const node = await conductor.reach('deploy failed');
    expect(node.last_error).toContain('Error writing image to device: device /dev/vda: no space left');
    expect(node).toMatchObject({ power_state: 'power off', target_provision_state: null });
    expect(node.driver_internal_info['ingot_agent_logs']).toMatch(/\.tar\.gz$/);
    expect(machine.boots).not.toContain('disk');
  });

  test('the evidence of a failed erase is kept, and what is wrong with it is said beside why it failed', async () => {
    const { uuid } = await conductor.register(machine);
    await conductor.provision('manage');
    await conductor.reach('manageable');
    const key = makeKey();
    const failWith = (change: (record: Envelope) => Envelope) => {
      machine.behaviour.onStep = (step) => {
        if (step['step'] !== 'erase_devices') return;
        const node = machine.agent?.requests.at(-1)?.params['node'] as NodeJson | undefined;
        const nonce = String(node?.driver_internal_info['ingot_evidence_nonce']);
        const record = exampleRecord({ nonce, node: { ...exampleRecord().node, uuid } });
        const failed = { result: 'failed', failure: 'x', category: 'none', verification: null } as const;
        const result = {
          '/dev/sda': change(signRecord({ ...record, ...failed }, key)),
          '/dev/sdb': { left: 'shared' },
        };
        throw Object.assign(new Error('cannot erase /dev/sda: x'), { result });
      };
    };
    failWith((envelope) => envelope);
    await conductor.provision('provide');
    const node = await conductor.reach('clean failed', 'available');
    expect(node.last_error).toMatch(/deploy\.erase_devices: .*cannot erase \/dev\/sda: x$/);
    const text = await readFile(String(node.driver_internal_info['ingot_evidence']), 'utf8');
    expect(judgeEvidence(text)).toMatchObject({ faults: [], receipts: 1, records: [{ result: 'failed' }] });

    failWith((envelope) => ({ ...envelope, record: exampleRecord() }));
    await conductor.provision('manage');
    await conductor.reach('manageable');
    await conductor.provision('provide');
    const { last_error } = await conductor.reach('clean failed', 'available');
    expect(last_error).toMatch(
      /cannot erase \/dev\/sda: x; cannot take the disks for erased: .*its signature does not fit/,
    );
  });

  test('an agent that never comes makes the node fail after the timeout and says how far it got', async () => {
    await conductor.stop();
    conductor = await startTestConductor({ callbackTimeoutSeconds: 0.3 });
    await manageable();
    machine.isolated = true;
    await conductor.provision('provide');
    const node = await conductor.reach('clean failed');
    expect(node.last_error).toContain('it never fetched its boot script');
    expect(node.last_error).toContain('no sign of life');
    expect(machine.bmc.power).toBe('Off');
  });

  test('an inspection that finds an error fails with it', async () => {
    await manageable();
    machine.behaviour.inspectionError = 'The following errors were encountered:\n* no disk';
    await conductor.provision('inspect');
    expect((await conductor.reach('inspect failed')).last_error).toContain('no disk');
  });

  test('a BMC that does not answer leaves the node in enroll with the reason', async () => {
    await conductor.register(machine, {
      driver_info: { ...machine.bmc.driverInfo(), redfish_address: 'http://127.0.0.1:9' },
    });
    await conductor.provision('manage');
    expect((await conductor.reach('enroll')).last_error).toContain('cannot reach the BMC at http://127.0.0.1:9');
  });

  test('without a ramdisk nothing is started', async () => {
    await conductor.stop();
    conductor = await startTestConductor({ kernel: undefined, initramfs: undefined });
    await manageable();
    await conductor.provision('inspect');
    expect((await conductor.reach('inspect failed')).last_error).toContain('--deploy-kernel');
    expect(machine.bmc.log).toEqual([]);
  });

  test('an agent that cannot be reached fails the flow at the third heartbeat', async () => {
    await manageable();
    const { opened, open } = gate();
    machine.behaviour.onStep = () => opened;
    await conductor.provision('provide');
    await until(() => commandNames().includes('clean.execute_clean_step'));
    const agent = machine.agent;
    await agent?.stop();
    for (let beat = 0; beat < 3; beat++) {
      await conductor.reach('clean wait', 'clean failed');
      await agent?.beat();
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    expect((await conductor.reach('clean failed')).last_error).toContain('cannot reach the agent at https://127.0.0.1');
    open();
  });

  test('abort ends what waits for the ramdisk, and switches the machine off', async () => {
    await manageable();
    machine.isolated = true;
    await conductor.provision('provide');
    await conductor.reach('clean wait');
    await conductor.provision('abort');
    expect((await conductor.reach('clean failed')).last_error).toContain('was aborted by request');
    expect(machine.bmc.power).toBe('Off');
  });
});

describe('one thing at a time', () => {
  test('a second request while one is under way is refused with 409 or 400', async () => {
    await manageable();
    const { opened, open } = gate();
    machine.behaviour.onStep = () => opened;
    await conductor.provision('provide');
    expect([400, 409]).toContain((await conductor.provision('provide')).status);
    await until(() => commandNames().includes('clean.execute_clean_step'));
    await conductor.reach('clean wait');
    const refused = await conductor.provision('inspect');
    expect(refused.status).toBe(400);
    expect(JSON.stringify(refused.body)).toContain('clean wait');
    expect((await conductor.call('PUT', '/v1/nodes/n1/states/power', { target: 'power off' })).status).toBe(409);
    expect((await conductor.call('DELETE', '/v1/nodes/n1')).status).toBe(409);
    open();
    await conductor.reach('available');
  });

  test('heartbeats with a wrong token, address or certificate are refused and change nothing', async () => {
    await manageable();
    const { opened, open } = gate();
    machine.behaviour.onStep = () => opened;
    await conductor.provision('provide');
    await until(() => commandNames().includes('clean.execute_clean_step'));
    await conductor.reach('clean wait');
    const before = await conductor.node();
    for (const change of [
      { agent_token: 'wrong' },
      { agent_token: '******' },
      { callback_url: 'https://192.0.2.1:9999' },
      { callback_url: 'http://127.0.0.1:9999' },
      { callback_url: `${machine.agent?.url}/` },
      { agent_verify_ca: undefined },
      { agent_verify_ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      { agent_version: undefined },
    ]) {
      expect({ change, ...(await machine.agent?.beat(change)) }).toMatchObject({ change, status: 400 });
    }
    expect((await conductor.node()).driver_internal_info['agent_url']).toBe(before.driver_internal_info['agent_url']);
    expect(await machine.agent?.beat()).toMatchObject({ status: 202 });
    open();
    await conductor.reach('available');
  });

  test('progress of the running command is in the node', async () => {
    await manageable();
    const { opened, open } = gate();
    machine.behaviour.onStep = (_step, command) => {
      command.progress = { phase: 'write', done: 5, total: 10, unit: 'bytes', rate: 2 };
      return opened;
    };
    await conductor.provision('provide');
    let progress: unknown;
    await until(() => commandNames().includes('clean.execute_clean_step'));
    const end = Date.now() + 5000;
    while (progress === undefined && Date.now() < end)
      progress = (await conductor.node()).driver_internal_info['agent_progress'];
    expect(progress).toEqual({
      command: 'execute_clean_step',
      step: 'erase_devices_metadata',
      phase: 'write',
      done: 5,
      total: 10,
      unit: 'bytes',
      rate: 2,
      message: null,
    });
    open();
    await conductor.reach('available');
    expect((await conductor.node()).driver_internal_info).not.toHaveProperty('agent_progress');
  });
});
