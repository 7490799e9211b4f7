import { expect, test } from 'vitest';

import { planCommand, planStep } from '../../agent/plan-command.ts';
import type { BlockDevice } from '../../agent/os/door.ts';
import { machineOs } from '../fakes/machine.ts';

const signal = new AbortController().signal;

/** A machine of which everything can be read, and nothing written. */
const os = machineOs('qemu-q35', {
  openDevice: async (path, mode) => {
    if (mode === 'write') throw new Error(`somebody writes to ${path}`);
    const zeros = async (buffer: Uint8Array) => void buffer.fill(0);
    return {
      path,
      sizeBytes: 2 ** 30,
      sectorBytes: 512,
      read: zeros,
      readBack: zeros,
      close: async () => undefined,
    } as unknown as BlockDevice;
  },
});

test('ingot-agent plan tells what erasing would do to each disk, with minutes', async () => {
  const plan = (await planStep({ os, log: () => undefined, signal }, 'erase_devices', {})) as Record<
    string,
    { plan?: { methods: { minutes: number }[] } }
  >;
  expect(plan['/dev/vda']?.plan?.methods[0]).toMatchObject({
    method: 'overwrite-zeros',
    minutes: expect.any(Number) as number,
  });
});

test('it goes by what the node would be', async () => {
  const given = { driver_internal_info: { agent_erase_devices_zeroize: false } };
  const plan = await planStep({ os, log: () => undefined, signal }, 'erase_devices', given);
  expect(plan).toMatchObject({ '/dev/vda': { plan: { methods: [{ method: 'overwrite-pattern' }] } } });
});

test('it refuses steps that would do something, and what is no node', async () => {
  await expect(planStep({ os, log: () => undefined, signal }, 'erase_devices_metadata', {})).rejects.toThrow(
    /the steps with a plan are erase_devices, erase_devices_express, /,
  );
  const program = { argv: ['--node', '[]'], stdout: { write: () => 0 }, stderr: { write: () => 0 }, signal };
  await expect(planCommand.run(program as unknown as Parameters<typeof planCommand.run>[0])).rejects.toThrow(
    'it is no JSON object',
  );
});
