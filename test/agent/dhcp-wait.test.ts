import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { NetworkInterface } from '../../agent/api/inventory.ts';
import { waitForDhcp } from '../../agent/dhcp-wait.ts';
import { fakeOs, memoryFiles } from '../fakes/agent-os.ts';
import { fakeParts, INVENTORY, NETWORK } from '../fakes/agent-parts.ts';
import { fakeClock } from '../fakes/clock.ts';

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-dhcp-'));
});
afterEach(() => rm(stateDirectory, { recursive: true }));

const BOOT = 'aa:bb:cc:dd:ee:01';
const [template] = INVENTORY.interfaces as [NetworkInterface];
const nic = (name: string, change: Partial<NetworkInterface> = {}): NetworkInterface => ({
  ...template,
  name,
  mac_address: name === 'eth0' ? BOOT : 'aa:bb:cc:dd:ee:02',
  ipv4_address: null,
  ipv6_address: null,
  ...change,
});

/** How many seconds are waited when the interfaces are `at` what they are after so many seconds. */
async function waited(
  cmdline: string,
  at: (seconds: number) => NetworkInterface[],
  files: Record<string, string> = {},
) {
  const clock = fakeClock();
  const { parts, output } = await fakeParts({
    cmdline,
    stateDirectory,
    os: fakeOs({ clock, files: memoryFiles(files) }),
    signal: new AbortController().signal,
  });
  const start = clock.monotonic();
  parts.hardware.network = { ...NETWORK, interfaces: async () => at((clock.monotonic() - start) / 1000) };
  await waitForDhcp(parts);
  return { seconds: (clock.monotonic() - start) / 1000, output: output() };
}

describe('before inspection', () => {
  test.each([`BOOTIF=${BOOT}`, 'BOOTIF=01-AA-BB-CC-DD-EE-01'])(
    'the interface of %s is waited for, and no other',
    async (cmdline) => {
      const { seconds } = await waited(cmdline, (now) => [
        nic('eth0', { ipv4_address: now < 3 ? null : '192.0.2.4' }),
        nic('eth1'),
      ]);
      expect(seconds).toBe(3);
    },
  );

  test('all interfaces are waited for where the parameter says so', async () => {
    const { seconds } = await waited('ipa-inspection-dhcp-all-interfaces=1', (now) => [
      nic('eth0', { ipv4_address: '192.0.2.4' }),
      nic('eth1', { ipv4_address: now < 4 ? null : '198.51.100.4' }),
    ]);
    expect(seconds).toBe(4);
  });

  test('with all interfaces, VLANs that are still being made are waited for as well', async () => {
    let isMade = false;
    const clock = fakeClock();
    const { parts } = await fakeParts({
      cmdline: 'ipa-inspection-dhcp-all-interfaces=1',
      stateDirectory,
      os: fakeOs({ clock, files: memoryFiles() }),
      signal: new AbortController().signal,
    });
    const card = nic('eth0', { ipv4_address: '192.0.2.4' });
    const interfaces = async () =>
      isMade ? [card, nic('eth0.10', { ipv4_address: clock.monotonic() < 3000 ? null : '198.51.100.4' })] : [card];
    const settledInterfaces = async () => {
      isMade = true;
      return interfaces();
    };
    parts.hardware.network = { ...NETWORK, interfaces, settledInterfaces };
    await waitForDhcp(parts);
    expect(clock.monotonic()).toBe(3000);
  });

  test('an interface that is not there yet is waited for', async () => {
    const { seconds } = await waited(`BOOTIF=${BOOT}`, (now) =>
      now < 2 ? [] : [nic('eth0', { ipv4_address: '192.0.2.4' })],
    );
    expect(seconds).toBe(2);
  });

  test('an IPv6 address is one, after a few seconds for IPv4 to come; a link-local one is none', async () => {
    const six = await waited(`BOOTIF=${BOOT}`, (now) => [
      nic('eth0', { ipv6_address: now < 2 ? 'fe80::1%eth0' : '2001:db8::4' }),
    ]);
    expect(six.seconds).toBe(7);
    const both = await waited(`BOOTIF=${BOOT}`, (now) => [
      nic('eth0', { ipv6_address: '2001:db8::4', ipv4_address: now < 1 ? null : '192.0.2.4' }),
    ]);
    expect(both.seconds).toBe(1);
  });

  test('a card without a cable, and members of a bond, hold nobody up', async () => {
    const interfaces = () => [nic('eth0', { ipv4_address: '192.0.2.4' }), nic('eth1', { has_carrier: false })];
    expect((await waited('ipa-inspection-dhcp-all-interfaces=1', interfaces)).seconds).toBe(10);
    const members = () => [nic('bond0', { ipv4_address: '192.0.2.4' }), nic('eth1')];
    const files = { '/sys/class/net/eth1/master': '' };
    expect((await waited('ipa-inspection-dhcp-all-interfaces=1', members, files)).seconds).toBe(0);
  });

  test('the wait ends when its time is over, and says of what', async () => {
    const { seconds, output } = await waited(`BOOTIF=${BOOT} ipa-inspection-dhcp-wait-timeout=20`, () => [nic('eth0')]);
    expect(seconds).toBe(20);
    expect(output).toContain('inspection goes on without an address of eth0');
  });

  test.each(['', `BOOTIF=${BOOT} ipa-inspection-dhcp-wait-timeout=0`])(
    'nothing is waited for with "%s"',
    async (cmdline) => {
      expect((await waited(cmdline, () => [nic('eth0')])).seconds).toBe(0);
    },
  );
});
