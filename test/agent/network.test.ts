import { describe, expect, test } from 'vitest';

import { makeConfig } from '../../agent/config/config.ts';
import { parseKernelParameters } from '../../agent/config/kernel-parameters.ts';
import { createNetwork } from '../../agent/network.ts';
import { realHardware } from '../../agent/start.ts';
import type { AgentOs } from '../../agent/os/door.ts';
import { Failure } from '../../system/failure.ts';
import { fakeOs, fakeRun, memoryFiles } from '../fakes/agent-os.ts';
import { fakeClock } from '../fakes/clock.ts';

const SOCAT = { 'socat -V': 'socat version 1.8.0.3\n' };
/** A frame that names VLANs 10 and 20. */
const FRAME = Buffer.from(
  '0180c200000e02005e00530188cc02070402005e00530104070545746831' +
    '2f3106020078fe0a0080c203000a03763130fe0a0080c2030014037632300000',
  'hex',
);
const TLVS = [
  [1, '0402005e005301'],
  [2, '05457468312f31'],
  [3, '0078'],
  [127, '0080c203000a03763130'],
  [127, '0080c203001403763230'],
  [0, ''],
];

/** Network cards by name, with the index that LLDP is listened for by. */
function cards(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name, at) => [
      [`/sys/class/net/${name}/device`, ''],
      [`/sys/class/net/${name}/type`, '1\n'],
      [`/sys/class/net/${name}/address`, `52:54:00:00:00:0${at}\n`],
      [`/sys/class/net/${name}/ifindex`, `${at + 1}\n`],
    ]),
  );
}

/** A machine whose cards hear what `heard` has for their index; a card that hears nothing listens until it is stopped. */
function machine(options: {
  cmdline: string;
  names: readonly string[];
  heard?: Record<number, Buffer | Error>;
  answers?: Record<string, string | Error>;
}) {
  const files = memoryFiles(cards(options.names));
  const run = fakeRun({ ...SOCAT, ...options.answers });
  const listened: number[] = [];
  const lines: string[] = [];
  const os: AgentOs = fakeOs({
    files,
    run,
    clock: fakeClock(),
    runBytes: async (_file, args, runOptions) => {
      const address = /SOCKET-RECVFROM:17:3:0:x88cc([0-9a-f]{8})/.exec(args.join(' '))?.[1] ?? '';
      const index = Buffer.from(address, 'hex').readInt32LE();
      listened.push(index);
      const answer = options.heard?.[index];
      if (answer instanceof Error) throw answer;
      if (answer !== undefined) return answer;
      return new Promise((_resolve, reject) => {
        runOptions?.signal?.addEventListener('abort', () => reject(new Failure('COMMAND_FAILED', 'it was ended')));
      });
    },
  });
  const config = makeConfig(parseKernelParameters(options.cmdline));
  const log = (line: string) => void lines.push(line);
  const network = createNetwork({ os, config, inRamdisk: true, log, signal: new AbortController().signal });
  return { network, run, listened, lines, config, files, os };
}

describe('LLDP', () => {
  test('is listened for on all cards at once, and only once', async () => {
    const { network, listened } = machine({ cmdline: '', names: ['eth0', 'eth1'], heard: { 1: FRAME, 2: FRAME } });
    expect(await network.lldp()).toEqual({ eth0: TLVS, eth1: TLVS });
    expect(await network.lldp()).toEqual({ eth0: TLVS, eth1: TLVS });
    expect(listened).toEqual([1, 2]);
  });

  test('that a card does not hear is an empty list when the time is over', async () => {
    const { network, os, lines } = machine({
      cmdline: 'ipa-lldp-timeout=5',
      names: ['eth0', 'eth1'],
      heard: { 1: FRAME },
    });
    expect(await network.lldp()).toEqual({ eth0: TLVS, eth1: [] });
    expect(os.clock.monotonic()).toBeGreaterThanOrEqual(5000);
    expect(os.clock.monotonic()).toBeLessThan(7000);
    expect(lines).toContain('LLDP: heard on eth0, not on eth1');
  });

  test('is listened for again on a card that was still down, and the log says when it stayed so', async () => {
    const down = new Failure('COMMAND_FAILED', 'socat: Network is down');
    const { network, listened, lines } = machine({
      cmdline: 'ipa-lldp-timeout=3',
      names: ['eth0'],
      heard: { 1: down },
    });
    expect(await network.lldp()).toEqual({ eth0: [] });
    expect(listened.length).toBeGreaterThan(1);
    expect(lines).toContain('LLDP was not listened for on eth0: socat: Network is down');
  });

  test('cannot be listened for without socat, and says so', async () => {
    const { network, lines } = machine({
      cmdline: 'ipa-collect-lldp=1',
      names: ['eth0'],
      answers: { 'socat -V': new Error('spawn socat ENOENT') },
    });
    await expect(network.lldp()).rejects.toThrow('cannot listen for LLDP: spawn socat ENOENT');
    expect((await network.settledInterfaces())[0]?.lldp).toBeNull();
    expect(lines).toContain('cannot listen for LLDP: spawn socat ENOENT');
  });

  test('is in the inventory with ipa-collect-lldp, and not without', async () => {
    const asked = machine({ cmdline: 'ipa-collect-lldp=1', names: ['eth0'], heard: { 1: FRAME } });
    expect((await asked.network.settledInterfaces())[0]?.lldp).toEqual(TLVS);
    expect((await asked.network.interfaces())[0]?.lldp).toBeNull();
    const unasked = machine({ cmdline: '', names: ['eth0'], heard: { 1: FRAME } });
    unasked.network.start();
    expect((await unasked.network.settledInterfaces())[0]?.lldp).toBeNull();
    expect(unasked.listened).toEqual([]);
  });
});

test("Intel's cards that listen themselves are told to stop before the agent listens", async () => {
  const { network, files } = machine({ cmdline: '', names: ['eth0'], heard: { 1: FRAME } });
  await files.write('/sys/class/net/eth0/device/driver', '');
  const { resolve } = files;
  files.resolve = async (path) => (path.endsWith('/driver') ? '/sys/bus/pci/drivers/i40e' : resolve(path));
  await files.write('/sys/kernel/debug/i40e/0000:3b:00.0/command', '');
  expect(await network.lldp()).toEqual({ eth0: TLVS });
  expect(await files.read('/sys/kernel/debug/i40e/0000:3b:00.0/command')).toBe('lldp stop');
});

test('a lookup has every MAC once, whatever VLANs there are', async () => {
  const { network, files, os } = machine({ cmdline: '', names: ['eth0', 'eth1'] });
  await files.write('/sys/class/net/eth0.5/address', '52:54:00:00:00:00\n');
  const { macs } = realHardware(os, { bootInterface: undefined }, network);
  expect(await macs()).toEqual(['52:54:00:00:00:00', '52:54:00:00:00:01']);
});

describe('VLANs', () => {
  const added = (run: { calls: string[] }) => run.calls.filter((call) => call.startsWith('ip '));
  const ip = (nic: string, vlan: number, name = `${nic}.${vlan}`) => ({
    [`ip link add link ${nic} name ${name} type vlan id ${vlan}`]: '',
    [`ip link set dev ${name} up`]: '',
  });

  test('are made by name and by MAC, once', async () => {
    const answers = { ...ip('eth0', 100), ...ip('eth1', 7) };
    const { network, run, listened } = machine({
      cmdline: 'ipa-enable-vlan-interfaces=eth0.100,52:54:00:00:00:01.7',
      names: ['eth0', 'eth1'],
      answers,
    });
    await network.settledInterfaces();
    await network.settledInterfaces();
    expect(added(run)).toEqual(Object.keys(answers));
    expect(listened).toEqual([]);
  });

  test('are those that the switch names, of one card or of all', async () => {
    const one = machine({
      cmdline: 'ipa-enable-vlan-interfaces=eth1',
      names: ['eth0', 'eth1'],
      heard: { 1: FRAME, 2: FRAME },
      answers: { ...ip('eth1', 10), ...ip('eth1', 20) },
    });
    await one.network.settledInterfaces();
    expect(added(one.run)).toEqual(Object.keys({ ...ip('eth1', 10), ...ip('eth1', 20) }));
    const all = machine({
      cmdline: 'ipa-enable-vlan-interfaces=all',
      names: ['eth0', 'eth1'],
      heard: { 1: FRAME, 2: FRAME },
    });
    await all.network.settledInterfaces();
    expect(added(all.run).filter((call) => call.includes('add'))).toHaveLength(4);
  });

  test('that there are already are only brought up', async () => {
    const { network, run, files } = machine({
      cmdline: 'ipa-enable-vlan-interfaces=eth0.5',
      names: ['eth0'],
      answers: ip('eth0', 5),
    });
    await files.write('/sys/class/net/eth0.5/address', '52:54:00:00:00:00\n');
    await network.settledInterfaces();
    expect(added(run)).toEqual(['ip link set dev eth0.5 up']);
  });

  test('get a name that the kernel takes', async () => {
    const { network, run } = machine({
      cmdline: 'ipa-enable-vlan-interfaces=enp129s0f0np0.100',
      names: ['enp129s0f0np0'],
      answers: ip('enp129s0f0np0', 100, 'enp129s0f0n.100'),
    });
    await network.settledInterfaces();
    expect(added(run)).toHaveLength(2);
  });

  test.each([
    ['eth0.4095', 'cannot bring up VLAN eth0.4095: an interface, a dot and a number from 1 to 4094 are needed'],
    ['eth0.x', 'cannot bring up VLAN eth0.x: an interface, a dot and a number from 1 to 4094 are needed'],
    ['eth9.5', 'cannot bring up VLAN eth9.5: no interface has this name or MAC'],
    ['eth0.6', 'cannot bring up VLAN 6 on eth0: RTNETLINK answers: Operation not permitted'],
  ])('that cannot be made are named: %s', async (wish, line) => {
    const { network, lines } = machine({
      cmdline: `ipa-enable-vlan-interfaces=${wish}`,
      names: ['eth0'],
      answers: {
        'ip link add link eth0 name eth0.6 type vlan id 6': new Error('RTNETLINK answers: Operation not permitted'),
      },
    });
    await network.settledInterfaces();
    expect(lines).toEqual([line]);
  });
});

test('the BMC is asked once, and not when Ironic knows it', async () => {
  const { network, run, config, files } = machine({ cmdline: '', names: ['eth0'], answers: { 'ipmitool -V': '' } });
  await files.write('/dev/ipmi0', '');
  config.skipBmcDetect = true;
  expect(await network.bmc()).toEqual({ bmc_address: null, bmc_v6address: null });
  expect(run.calls).toEqual([]);
  config.skipBmcDetect = false;
  expect(await network.bmc()).toEqual({ bmc_address: '0.0.0.0', bmc_v6address: '::/0' });
  const { length } = run.calls;
  await network.bmc();
  expect(run.calls).toHaveLength(length);
});
