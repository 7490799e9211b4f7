import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';

import { InterfaceSchema } from '../../../agent/api/inventory.ts';
import { describeInterfaces, interfaceMacs } from '../../../agent/hardware/interfaces.ts';
import { listNetworkCards } from '../../../agent/hardware/network-cards.ts';
import { isIgnored } from '../../../agent/hardware/mac.ts';
import type { AgentOs, NetworkAddress } from '../../../agent/os/door.ts';
import { fakeRun } from '../../fakes/agent-os.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const SERVER = 'rack-server-bonded';
const IP_LINK = 'ip -json -details link show';
const IGNORED = ['fa:', '!fa:16:3e:'];
const address = (name: string, text: string): NetworkAddress => ({
  interface: name,
  address: text,
  family: text.includes(':') ? 6 : 4,
  mac: '',
  internal: false,
});

function server(parts: Partial<AgentOs> = {}): AgentOs & { calls: string[] } {
  return machineOs(SERVER, { run: fakeRun({ [IP_LINK]: fixture(SERVER, 'ip-link.json') }), ...parts });
}

async function byName(os: AgentOs, ignoredMacs: readonly string[] = IGNORED) {
  const nics = await describeInterfaces(os, { ignoredMacs });
  expect(nics.filter((nic) => !Value.Check(InterfaceSchema, nic))).toEqual([]);
  return Object.fromEntries(nics.map((nic) => [nic.name, nic]));
}

describe('a server with a bond of two cards, a VLAN on it, InfiniBand and a BMC on USB', () => {
  test('shows hardware, bond and VLAN, and neither bridge nor loopback', async () => {
    expect(Object.keys(await byName(server()))).toEqual([
      'bond0',
      'bond0.100',
      'eno1',
      'eno2',
      'ens1f0np0',
      'ens1f1np1',
      'ib0',
    ]);
  });

  test.each([[IGNORED], [[]]])(
    'has the same MACs, each once, when nothing but them is asked for (ignored: %j)',
    async (ignored) => {
      const told = (await describeInterfaces(server(), { ignoredMacs: ignored })).map((nic) => nic.mac_address);
      expect(await interfaceMacs(server(), ignored)).toEqual([...new Set(told)]);
    },
  );

  test('gives the members of the bond the MACs that they came with', async () => {
    const nics = await byName(server());
    expect(nics['ens1f0np0']).toMatchObject({
      mac_address: 'b8:ce:f6:aa:10:40',
      speed_mbps: 25_000,
      pci_address: '0000:3b:00.0',
      driver: 'mlx5_core',
      vendor: '0x15b3',
      product: '0x1017',
      client_id: null,
    });
    expect(nics['ens1f1np1']?.mac_address).toBe('b8:ce:f6:aa:10:41');
    expect(nics['bond0']).toMatchObject({
      mac_address: 'b8:ce:f6:aa:10:40',
      speed_mbps: 50_000,
      pci_address: null,
      driver: null,
    });
  });

  test('a MAC that somebody changed is told as it was, where iproute2 knows it', async () => {
    expect((await byName(server()))['eno2']?.mac_address).toBe('3c:ec:ef:12:34:57');
    const withBusybox = server({ run: fakeRun() });
    expect((await byName(withBusybox))['eno2']?.mac_address).toBe('02:00:5e:00:53:01');
  });

  test('a machine whose MACs nobody changed is not asked for them', async () => {
    const os = machineOs('qemu-q35-trixie');
    await describeInterfaces(os);
    expect(os.calls).toEqual([]);
  });

  test('a card without a cable has neither carrier nor speed', async () => {
    expect((await byName(server()))['eno1']).toMatchObject({ has_carrier: false, speed_mbps: null, driver: 'tg3' });
  });

  test('InfiniBand has the MAC and the client id that Ironic boots it by', async () => {
    expect((await byName(server()))['ib0']).toMatchObject({
      mac_address: '7c:fe:90:29:26:52',
      client_id: 'ff:00:00:00:00:00:02:00:00:02:c9:00:7c:fe:90:03:00:29:26:52',
    });
  });

  test("a BMC's card over USB is told only when asked for, without a speed that is not true", async () => {
    expect((await byName(server()))['enp0s20f0u1u3']).toBeUndefined();
    expect((await byName(server(), []))['enp0s20f0u1u3']).toMatchObject({
      mac_address: 'fa:12:34:56:78:9a',
      speed_mbps: null,
      pci_address: '0000:00:14.0',
      driver: 'cdc_ether',
      vendor: null,
    });
  });

  test('an address of the whole network is shown before a link-local one', async () => {
    const addresses = () => [
      address('bond0.100', 'fe80::bace:f6ff:feaa:1040'),
      address('bond0.100', '2001:db8::17'),
      address('eno2', 'fe80::1'),
      address('eno2', '192.0.2.7'),
    ];
    const nics = await byName(server({ addresses }));
    expect(nics['bond0.100']).toMatchObject({ ipv4_address: null, ipv6_address: '2001:db8::17' });
    expect(nics['eno2']).toMatchObject({ ipv4_address: '192.0.2.7', ipv6_address: 'fe80::1%eno2' });
  });

  test('names that its firmware gives are asked for where the tool is there, and not for VLANs', async () => {
    const os = server();
    const run = fakeRun({ [IP_LINK]: '[]', 'biosdevname -i eno1': 'em1\n' });
    const withTool = {
      ...server({ run }),
      files: { ...os.files, exists: async (path: string) => path === '/usr/sbin/biosdevname' || os.files.exists(path) },
    };
    const nics = await byName(withTool);
    expect([nics['eno1']?.biosdevname, nics['eno2']?.biosdevname, nics['bond0.100']?.biosdevname]).toEqual([
      'em1',
      null,
      null,
    ]);
    expect(run.calls).not.toContain('biosdevname -i bond0.100');
    expect(os.calls.filter((call) => call.startsWith('biosdevname'))).toEqual([]);
  });

  test('cards that frames come in at are those of Ethernet, members of the bond as well', async () => {
    expect(await listNetworkCards(server())).toEqual(['eno1', 'eno2', 'enp0s20f0u1u3', 'ens1f0np0', 'ens1f1np1']);
  });
});

test.each([
  ['fa:12:34:56:78:9a', true],
  ['FA:12:34:56:78:9a', true],
  ['fa:16:3e:00:00:01', false],
  ['52:54:00:11:22:44', false],
])('MAC %s is ignored: %s', (mac, ignored) => {
  expect(isIgnored(mac, IGNORED)).toBe(ignored);
  expect(isIgnored(mac, [])).toBe(false);
});
