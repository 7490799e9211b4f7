import { describe, expect, test } from 'vitest';

import { type CollectorParts, type CollectorSpec, COLLECTORS } from '../../agent/collectors.ts';
import { GENERIC } from '../../agent/commands/table.ts';
import { makeConfig } from '../../agent/config/config.ts';
import { inspectionData } from '../../agent/inspection-data.ts';
import { machineOs } from '../fakes/machine.ts';
import { fakeOs, fakeRun } from '../fakes/agent-os.ts';
import { DETAILS, DISK, INVENTORY, NETWORK } from '../fakes/agent-parts.ts';

function parts(changes: Partial<CollectorParts> = {}): Omit<CollectorParts, 'names'> & { lines: string[] } {
  const lines: string[] = [];
  return {
    os: fakeOs(),
    config: makeConfig(new Map()),
    hardware: {
      network: NETWORK,
      inventory: async () => INVENTORY,
      details: async () => DETAILS,
      macs: async () => [],
      rootDisk: async () => DISK,
    },
    managers: async () => [GENERIC],
    logs: async () => `logs after ${lines.length} lines`,
    log: (line) => lines.push(line),
    signal: new AbortController().signal,
    ...changes,
    lines,
  };
}

describe('the body of an inspection', () => {
  test('has default and logs when nothing else was asked for, and null for an error', async () => {
    expect(await inspectionData([], parts())).toEqual({
      inventory: INVENTORY,
      root_disk: DISK,
      boot_interface: INVENTORY.boot.pxe_interface,
      configuration: {
        collectors: ['default', 'logs'],
        managers: [{ name: 'generic_hardware_manager', version: '1.2' }],
      },
      ingot: DETAILS,
      logs: 'logs after 0 lines',
      error: null,
    });
  });

  test('names the collectors in the order in which they were asked for, each once, and runs logs in the end', async () => {
    const ran: string[] = [];
    const table: CollectorSpec[] = COLLECTORS.map((spec) => ({
      ...spec,
      run: async ({ names }) => {
        ran.push(spec.name);
        return { [spec.name]: names };
      },
    }));
    const data = await inspectionData(['logs', 'usb-devices', 'default', 'logs'], parts(), table);
    expect(ran).toEqual(['usb-devices', 'default', 'logs']);
    expect(data['default']).toEqual(['logs', 'usb-devices', 'default']);
  });

  test('has what the others found when one fails, and the logs that say so', async () => {
    const sources = parts({
      hardware: { ...parts().hardware, inventory: () => Promise.reject(new Error('no lsblk')) },
    });
    const data = await inspectionData(['default', 'pci-devices', 'logs'], sources);
    expect(data).toEqual({
      pci_devices: [],
      logs: 'logs after 1 lines',
      error: 'The following errors were encountered:\n* collector default failed: no lsblk',
    });
    expect(sources.lines).toEqual(['inspection: collector default failed: no lsblk']);
  });

  test('goes without the details when they cannot be read: nobody needs them', async () => {
    const sources = parts({ hardware: { ...parts().hardware, details: () => Promise.reject(new Error('odd table')) } });
    const data = await inspectionData(['default'], sources);
    expect(data.error).toBeNull();
    expect(data).not.toHaveProperty('ingot');
    expect(sources.lines).toEqual(['inspection goes without details: odd table']);
  });

  test('is not made when the agent is stopped meanwhile', async () => {
    const controller = new AbortController();
    const sources = parts({
      signal: controller.signal,
      hardware: {
        ...parts().hardware,
        inventory: async () => {
          controller.abort(new Error('stopped'));
          throw new Error('lsblk was killed');
        },
      },
    });
    await expect(inspectionData(['default'], sources)).rejects.toThrow('stopped');
  });

  test('fills only the keys that the table says', async () => {
    const run = fakeRun({ 'hardware-detect': '[["cpu", "physical", "number", 2]]' });
    const { files } = machineOs('qemu-q35-numa');
    for (const spec of COLLECTORS) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, as the agent does it
      const { error, ...data } = await inspectionData([spec.name], parts({ os: fakeOs({ run, files }) }));
      expect(error).toBeNull();
      expect(spec.adds).toEqual(expect.arrayContaining(Object.keys(data)));
    }
  });
});

describe('the collector extra-hardware', () => {
  const collect = (answers: Record<string, string>, benchmarks = '') =>
    inspectionData(
      ['extra-hardware'],
      parts({
        os: fakeOs({ run: fakeRun(answers) }),
        config: makeConfig(new Map([['ipa-inspection-benchmarks', benchmarks]])),
      }),
    );

  test('posts what the tool prints, and runs only the benchmarks that were named', async () => {
    expect(await collect({ 'hardware-detect': '[["cpu", "physical", "number", 2]]' })).toEqual({
      data: [['cpu', 'physical', 'number', 2]],
      error: null,
    });
    expect(await collect({ 'hardware-detect --benchmark cpu mem': '[]' }, 'cpu,mem')).toEqual({
      data: [],
      error: null,
    });
  });

  test('fails where the tool is missing or prints something else', async () => {
    expect((await collect({})).error).toMatch(/hardware-detect: cannot run hardware-detect/);
    expect((await collect({ 'hardware-detect': 'Traceback' })).error).toMatch(/hardware-detect: .*JSON/);
  });
});
