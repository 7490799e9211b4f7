import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { startTestConductor, type TestConductor } from '../../fakes/running-conductor.ts';
import { STEPS } from '../../fakes/simulated-agent.ts';
import { type SimulatedMachine, startMachine } from '../../fakes/simulated-machine.ts';

// Real connections and a real database: slower on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 });

let conductor: TestConductor;
let machine: SimulatedMachine;

const IMAGE = {
  image_source: 'http://images.example/debian.raw',
  image_disk_format: 'raw',
  image_os_hash_algo: 'sha256',
  image_os_hash_value: 'a'.repeat(64),
};

beforeEach(async () => {
  conductor = await startTestConductor();
  machine = await startMachine();
  await conductor.register(machine, { instance_info: IMAGE });
  await conductor.provision('manage');
  await conductor.reach('manageable');
});
afterEach(async () => {
  await machine.stop();
  await conductor.stop();
});

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function toAvailable(): Promise<void> {
  await conductor.provision('provide');
  await conductor.reach('available');
}

describe('a conductor that is ended and started again', () => {
  test('goes on with a deployment whose image is being written, without giving the command again', async () => {
    await toAvailable();
    const count = { writes: 0 };
    let finish = () => undefined as void;
    machine.behaviour.onStep = (step) => {
      if (step['step'] !== 'write_image') return undefined;
      count.writes += 1;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    await conductor.provision('active', { configdrive: { meta_data: { hostname: 'web1' } } });
    await conductor.reach('wait call-back');
    while (count.writes === 0) await pause(5);
    await conductor.reach('wait call-back');
    await conductor.restart();
    expect((await conductor.node()).provision_state).toBe('wait call-back');
    // Its heartbeat, had it come while the conductor was away, would be lost: the end is found by looking.
    finish();
    const node = await conductor.reach('active', 'deploy failed');
    expect(node).toMatchObject({ provision_state: 'active', last_error: null, power_state: 'power on' });
    expect(count.writes).toBe(1);
  });

  test.each([3, 17, 31])(
    'gets there however often that happens (seed %i)',
    async (seed) => {
      let writes = 0;
      let erased = 0;
      machine.behaviour.onStep = async (step) => {
        if (step['step'] === 'write_image') writes += 1;
        if (step['step'] === 'erase_devices') erased += 1;
        await pause(60);
      };
      let random = seed;
      const restartUntil = async (state: string) => {
        // Ever more time in between, so that the test ends.
        for (let round = 0; round < 60; round++) {
          random = (random * 1103515245 + 12345) % 2147483648;
          await pause((random % 90) + 15 * round);
          await conductor.restart();
          const { provision_state: now, last_error } = await conductor.node();
          expect({ now, last_error }).toMatchObject({ last_error: null });
          if (now === state) return;
        }
        throw new Error(`did not get to ${state}; ${machine.problems.join('; ')}`);
      };
      await conductor.provision('provide');
      await restartUntil('available');
      await conductor.provision('active', { configdrive: { meta_data: {} } });
      await restartUntil('active');
      expect((await conductor.reach('active', 'deploy failed')).last_error).toBeNull();
      expect(machine.bmc.boot.target).toBe('Hdd');
      // Restarted before the answer to the command was written down, the conductor may have booted the ramdisk anew;
      // within one boot the agent is told once.
      expect(writes).toBeGreaterThan(0);
      expect(writes).toBeLessThanOrEqual(machine.boots.filter((boot) => boot === 'agent').length);
      expect(erased).toBeGreaterThan(0);
    },
    60_000,
  );

  test('finishes an inspection whose inventory has arrived', async () => {
    await conductor.provision('inspect');
    await conductor.reach('inspect wait', 'inspecting', 'manageable');
    await conductor.restart();
    expect((await conductor.reach('manageable', 'inspect failed')).last_error).toBeNull();
  });

  test('does not take a machine for done that was restarted in the middle of a step', async () => {
    const count = { started: 0 };
    machine.behaviour.cleanSteps = [STEPS.erase];
    machine.behaviour.onStep = () => {
      count.started += 1;
      return new Promise<void>(() => undefined);
    };
    await conductor.provision('provide');
    await conductor.reach('clean wait');
    while (count.started === 0) await pause(5);
    // The history is gone, as after a power failure; the token is too in reality, which is one more reason not to go on.
    machine.agent?.commands.splice(0);
    const node = await conductor.reach('clean failed');
    expect(node.last_error).toContain('does not know of it any more');
    expect(count.started).toBe(1);
  });

  test('ends a cleaning after whose last step the machine was being switched off', async () => {
    machine.behaviour.cleanSteps = [STEPS.erase];
    machine.behaviour.onStep = () => void (machine.bmc.quirks.slowPower = 1000);
    await conductor.provision('provide');
    await conductor.reach('clean wait');
    // The machine is off, and its agent gone, before the conductor has seen it.
    while (machine.agent === undefined) await pause(5);
    while (machine.bmc.power === 'On') await pause(5);
    expect((await conductor.node()).provision_state).toBe('cleaning');
    await conductor.restart();
    machine.bmc.quirks.slowPower = 0;
    machine.bmc.setPower('Off');
    const node = await conductor.reach('available', 'clean failed', 'clean wait');
    expect(node).toMatchObject({ provision_state: 'available', last_error: null, power_state: 'power off' });
  });

  test('makes good a power change that was under way', async () => {
    machine.bmc.quirks.slowPower = 1000;
    await conductor.call('PUT', '/v1/nodes/n1/states/power', { target: 'power on' });
    await pause(50);
    expect(await conductor.node()).toMatchObject({ target_power_state: 'power on' });
    await conductor.restart();
    machine.bmc.quirks.slowPower = 0;
    machine.bmc.setPower('On');
    await pause(100);
    const end = Date.now() + 5000;
    while ((await conductor.node())['target_power_state'] !== null && Date.now() < end) await pause(20);
    expect(await conductor.node()).toMatchObject({
      target_power_state: null,
      power_state: 'power on',
      last_error: null,
    });
  });

  test('a second conductor on the same state is refused', async () => {
    await expect(startTestConductor({ stateDirectory: conductor.stateDirectory })).rejects.toMatchObject({
      code: 'DATABASE_BUSY',
    });
  });
});
