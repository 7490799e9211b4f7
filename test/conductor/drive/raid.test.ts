import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { startTestConductor, type TestConductor } from '../../fakes/running-conductor.ts';
import { type SimulatedMachine, startMachine } from '../../fakes/simulated-machine.ts';

// Real connections and a real database: slower on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let conductor: TestConductor;
let machine: SimulatedMachine;

const step = (name: string, args?: object) => ({ interface: 'raid', step: name, ...(args && { args }) });
const offered = (name: string) => ({
  ...step(name),
  priority: 0,
  reboot_requested: false,
  abortable: true,
  argsinfo: { dry_run: { description: '', required: false } },
});
const WANTED = { logical_disks: [{ controller: 'software', raid_level: '1', size_gb: 'MAX', is_root_volume: true }] };
const MADE = { logical_disks: [{ volume_name: 'md0', ...WANTED.logical_disks[0] }] };

beforeEach(async () => {
  conductor = await startTestConductor();
  machine = await startMachine();
  machine.behaviour.cleanSteps = ['create_configuration', 'delete_configuration'].map(offered);
  await conductor.register(machine);
  await conductor.provision('manage');
  await conductor.reach('manageable');
});
afterEach(async () => {
  await machine.stop();
  await conductor.stop();
});

async function clean(...clean_steps: object[]) {
  expect(await conductor.provision('clean', { clean_steps })).toMatchObject({ status: 202 });
  return conductor.reach('manageable', 'clean failed');
}

describe('the RAID configuration of a node', () => {
  test('that is wanted is sent to the agent; what the agent has made is kept, and over a restart; deleting forgets it', async () => {
    const path = '/v1/nodes/n1/states/raid';
    expect((await conductor.call('PUT', path, WANTED)).status).toBe(204);
    let seen: unknown;
    machine.behaviour.onStep = (run) => {
      seen = machine.agent?.requests.at(-1)?.params['node'];
      return run['step'] === 'create_configuration' ? MADE : null;
    };
    expect((await clean(step('create_configuration')))['raid_config']).toEqual({
      ...MADE,
      last_updated: expect.stringMatching(/^20\d\d-/) as string,
    });
    expect(seen).toMatchObject({ raid_interface: 'agent', target_raid_config: WANTED, raid_config: {} });
    await conductor.restart();
    const { body } = await conductor.call('GET', '/v1/nodes/n1/states');
    expect(body).toMatchObject({ raid_config: MADE, target_raid_config: WANTED });

    const root_device = { serial: 'OLD' };
    const patch = [{ op: 'add', path: '/properties/root_device', value: root_device }];
    expect((await conductor.call('PATCH', '/v1/nodes/n1', patch)).body).toMatchObject({ properties: { root_device } });
    const after = await clean(step('delete_configuration'));
    expect(after['raid_config']).toEqual({});
    expect(after['target_raid_config']).toEqual(WANTED);
    expect(after['properties']).not.toHaveProperty('root_device');
  });

  test('is not what a step has made that made nothing: that fails', async () => {
    machine.behaviour.onStep = () => ({});
    const node = await clean(step('create_configuration'));
    expect(node).toMatchObject({ provision_state: 'clean failed', raid_config: {} });
    expect(node.last_error).toContain('raid.create_configuration: no array was made');
  });

  test.each([[{ logical_disks: [] }], [{ logical_disks: 'all' }], [{ disks: [] }], [[]]])(
    'is refused where it is no configuration: %j',
    async (body) => {
      expect((await conductor.call('PUT', '/v1/nodes/n1/states/raid', body)).status).toBe(400);
    },
  );

  test('may be taken back', async () => {
    await conductor.call('PUT', '/v1/nodes/n1/states/raid', WANTED);
    expect((await conductor.call('PUT', '/v1/nodes/n1/states/raid', {})).status).toBe(204);
    expect(await conductor.node()).toMatchObject({ target_raid_config: {} });
  });
});

describe('a dry run', () => {
  test('leaves the plans of its steps with the node, and what it would have changed as it was', async () => {
    const plan = { dry_run: true, lines: ['/dev/md0: RAID 1'], minutes: 0.3 };
    const asked: unknown[] = [];
    machine.behaviour.onStep = (run) => {
      asked.push([run['step'], run['args']]);
      return { ...plan, of: run['step'] };
    };
    const dry_run = true;
    const node = await clean(step('delete_configuration', { dry_run }), step('create_configuration', { dry_run }));
    expect(node).toMatchObject({ provision_state: 'manageable', raid_config: {} });
    expect(node.driver_internal_info['ingot_plans']).toEqual([
      { step: 'raid.delete_configuration', plan: { ...plan, of: 'delete_configuration' } },
      { step: 'raid.create_configuration', plan: { ...plan, of: 'create_configuration' } },
    ]);
    expect(asked).toEqual([
      ['delete_configuration', { dry_run }],
      ['create_configuration', { dry_run }],
    ]);
    // The plans are of the last flow alone.
    machine.behaviour.onStep = () => MADE;
    expect((await clean(step('create_configuration'))).driver_internal_info).not.toHaveProperty('ingot_plans');
  });

  test('keeps the nonce by which an erase that was cut off goes on', async () => {
    machine.behaviour.onStep = () => {
      throw new Error('power cut');
    };
    const cut = await clean(step('delete_configuration'));
    const nonce = cut.driver_internal_info['ingot_evidence_nonce'];
    expect(nonce).toMatch(/^[0-9a-f-]{36}$/);
    await conductor.provision('manage');
    await conductor.reach('manageable');
    machine.behaviour.onStep = () => ({ dry_run: true });
    const looked = await clean(step('delete_configuration', { dry_run: true }));
    expect(looked.driver_internal_info['ingot_evidence_nonce']).toBe(nonce);
    machine.behaviour.onStep = () => null;
    const done = await clean(step('delete_configuration'));
    expect(done.driver_internal_info).not.toHaveProperty('ingot_evidence_nonce');
  });

  test('of a step that does not know what that is, and so would change the machine, is refused before anything runs', async () => {
    const ran: unknown[] = [];
    machine.behaviour.onStep = (run) => void ran.push(run);
    const { argsinfo: _, ...plain } = offered('delete_configuration');
    machine.behaviour.cleanSteps = [plain];
    const node = await clean(step('delete_configuration', { dry_run: true }));
    expect(node.last_error).toContain('raid.delete_configuration knows no dry_run: it would change the machine');
    expect(ran).toEqual([]);
  });
});
