import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { type NodeJson, startTestConductor, type TestConductor } from '../../fakes/running-conductor.ts';
import { type SimulatedMachine, startMachine } from '../../fakes/simulated-machine.ts';

// Real connections and a real database: slower on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let conductor: TestConductor;
let machine: SimulatedMachine;
beforeEach(async () => {
  conductor = await startTestConductor();
  machine = await startMachine();
  await conductor.register(machine);
  await conductor.provision('manage');
  await conductor.reach('manageable');
});
afterEach(async () => {
  await machine.stop();
  await conductor.stop();
});

/** Starts an automated cleaning that stands still in a step until the machine loses its power. */
async function cleanUntil(
  held: string,
  { cuts = 1, onCut }: { cuts?: number; onCut: () => Promise<void> },
): Promise<{ steps: string[]; nonces: Set<unknown> }> {
  const steps: string[] = [];
  const nonces = new Set<unknown>();
  let left = cuts;
  machine.behaviour.onStep = async (step) => {
    steps.push(String(step['step']));
    const node = machine.agent?.requests.at(-1)?.params['node'] as NodeJson | undefined;
    nonces.add(node?.driver_internal_info['ingot_evidence_nonce']);
    if (step['step'] !== held || left === 0) return;
    left -= 1;
    void onCut();
    await new Promise(() => undefined);
  };
  await conductor.provision('provide');
  return { steps, nonces };
}

describe('a machine that loses its power in the middle of an erase', () => {
  test.each(['stays off', 'boots again'] as const)(
    'is started again, and goes on with that step and the same nonce (it %s)',
    async (then) => {
      const { steps, nonces } = await cleanUntil('erase_devices', { onCut: () => machine.cutPower(then) });
      const node = await conductor.reach('available', 'clean failed');
      expect(node).toMatchObject({ provision_state: 'available', last_error: null });
      expect(steps).toEqual(['erase_devices_metadata', 'erase_devices', 'erase_devices']);
      expect(nonces.size).toBe(1);
      expect(node.driver_internal_info).not.toHaveProperty('ingot_power_losses');
      expect(machine.bmc.log.filter((line) => line === 'POST On')).toHaveLength(2);
    },
  );

  test('is started again by a conductor that was without power as well', async () => {
    const { promise: isBack, resolve } = Promise.withResolvers<void>();
    const cut = async () => {
      await machine.cutPower('stays off');
      await conductor.restart();
      resolve();
    };
    const { steps } = await cleanUntil('erase_devices', { onCut: cut });
    await isBack;
    expect((await conductor.reach('available', 'clean failed')).last_error).toBeNull();
    expect(steps).toEqual(['erase_devices_metadata', 'erase_devices', 'erase_devices']);
  });

  test('is given up the fourth time, and a new cleaning has the old nonce', async () => {
    const cut = () => machine.cutPower('stays off');
    const { steps, nonces } = await cleanUntil('erase_devices', { cuts: 4, onCut: cut });
    const { last_error } = await conductor.reach('clean failed');
    expect(last_error).toContain('clean step deploy.erase_devices: the machine has lost its power in the middle');
    await conductor.provision('manage');
    await conductor.reach('manageable');
    await conductor.provision('provide');
    await conductor.reach('available');
    expect(steps.filter((step) => step === 'erase_devices')).toHaveLength(5);
    expect(nonces.size).toBe(1);
  });
});

test('an agent that does not answer for a moment is left at its work while its machine is on', async () => {
  let finish = () => undefined as void;
  machine.behaviour.onStep = (step) =>
    step['step'] === 'erase_devices' ? new Promise<void>((resolve) => (finish = resolve)) : undefined;
  await conductor.provision('provide');
  await vi.waitUntil(() => machine.agent?.commands.at(-1)?.command_status === 'RUNNING', { timeout: 8000 });
  const before = machine.bmc.log.length;
  const { agent } = machine;
  agent?.pause(true);
  // Its conductor looks every few milliseconds here.
  await new Promise((resolve) => setTimeout(resolve, 500));
  agent?.pause(false);
  finish();
  expect(await conductor.reach('available', 'clean failed')).toMatchObject({ last_error: null });
  expect(machine.bmc.log.slice(before).filter((line) => line === 'POST On')).toEqual([]);
});
