import { createRequire } from 'node:module';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { busyboxScratch } from '../fakes/busybox.ts';

type NetworkData = { links?: object[]; networks?: object[]; services?: object[] };
const { networkCommands, prefixOf } = createRequire(import.meta.url)(
  '../../elements/simple-init/files/etc/ingot/network-data.cjs',
) as {
  networkCommands: (data: NetworkData, cards: Record<string, string>) => string[];
  prefixOf: (mask: unknown) => string;
};

const CARDS = { 'fa:16:3e:9c:bf:3d': 'ens3', 'a0:36:9f:2c:e8:70': 'eno1', 'a0:36:9f:2c:e8:71': 'eno2' };
const PHY = { id: 'tap1', type: 'vif', ethernet_mac_address: 'FA:16:3E:9C:BF:3D', mtu: 1450, vif_id: 'x' };
/** What is left of a script without the function at its head. */
const commands = (data: NetworkData) => {
  const lines = networkCommands(data, CARDS);
  return lines.slice(lines.indexOf('}') + 1);
};

// In the form of nova's metadata (openstack/latest/network_data.json), which Ironic hands on.
const STATIC: NetworkData = {
  links: [PHY],
  networks: [
    {
      id: 'network0',
      link: 'tap1',
      type: 'ipv4',
      ip_address: '172.19.1.34',
      netmask: '255.255.252.0',
      routes: [
        { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '172.19.3.254' },
        { network: '10.0.0.0', netmask: '255.0.0.0', gateway: '172.19.1.1' },
      ],
      services: [{ type: 'dns', address: '172.19.0.12' }],
    },
    {
      id: 'network1',
      link: 'tap1',
      type: 'ipv6',
      ip_address: '2001:cdba::3257:9652/64',
      routes: [{ network: '::', netmask: '::', gateway: 'fd00::1' }],
    },
  ],
  services: [
    { type: 'dns', address: '172.19.0.12' },
    { type: 'dns', address: '2001:4860:4860::8888' },
  ],
};
const BOND: NetworkData = {
  links: [
    { id: 'vlan20', type: 'vlan', vlan_link: 'bond0', vlan_id: 20, vlan_mac_address: 'a0:36:9f:2c:e8:70' },
    { id: 'p1', type: 'phy', ethernet_mac_address: 'a0:36:9f:2c:e8:70', mtu: 9000 },
    { id: 'p2', type: 'phy', ethernet_mac_address: 'a0:36:9f:2c:e8:71', mtu: 9000 },
    {
      id: 'bond0',
      type: 'bond',
      bond_links: ['p1', 'p2'],
      bond_mode: '802.3ad',
      bond_miimon: 200,
      bond_xmit_hash_policy: 'layer3+4',
    },
  ],
  networks: [
    { link: 'bond0', type: 'ipv4_dhcp' },
    { link: 'vlan20', type: 'ipv4', ip_address: '192.0.2.9/28', gateway: '192.0.2.1' },
  ],
};

describe('network_data.json of a config drive', () => {
  test('fixed addresses of both kinds, with routes and name servers', () => {
    expect(commands(STATIC)).toEqual([
      'no_dhcp ens3',
      'ip link set ens3 mtu 1450',
      'ip link set ens3 up',
      'no_dhcp ens3',
      'ip -4 addr replace 172.19.1.34/22 dev ens3',
      'ip -4 route replace default via 172.19.3.254 dev ens3',
      'ip -4 route replace 10.0.0.0/8 via 172.19.1.1 dev ens3',
      'ip -6 addr replace 2001:cdba::3257:9652/64 dev ens3',
      'ip -6 route replace default via fd00::1 dev ens3',
      "printf '%s\\n' 'nameserver 172.19.0.12' 'nameserver 2001:4860:4860::8888' >/etc/resolv.conf",
      ': >/run/ingot/resolv.boot',
      'echo \'ens3 172.19.1.34/22\' >"/run/ingot/network/$(cat /sys/class/net/ens3/address)"',
      'echo \'ens3 2001:cdba::3257:9652/64\' >"/run/ingot/network/$(cat /sys/class/net/ens3/address)"',
    ]);
  });

  test('a VLAN on a bond of two cards, whatever their order in the document', () => {
    expect(commands(BOND)).toEqual([
      'no_dhcp eno1',
      'ip link set eno1 mtu 9000',
      'no_dhcp eno1',
      'no_dhcp eno2',
      'ip link set eno2 mtu 9000',
      'no_dhcp eno2',
      'modprobe bonding max_bonds=0',
      '[ -e /sys/class/net/bond0/bonding ] || echo +bond0 >/sys/class/net/bonding_masters',
      'echo 802.3ad >/sys/class/net/bond0/bonding/mode',
      'echo 200 >/sys/class/net/bond0/bonding/miimon',
      'echo layer3+4 >/sys/class/net/bond0/bonding/xmit_hash_policy',
      'ip link set eno1 down',
      'echo +eno1 >/sys/class/net/bond0/bonding/slaves',
      'ip link set eno2 down',
      'echo +eno2 >/sys/class/net/bond0/bonding/slaves',
      'ip link set bond0 up',
      'no_dhcp bond0.20',
      'modprobe 8021q',
      '[ -e /sys/class/net/bond0.20 ] || ip link add link bond0 name bond0.20 type vlan id 20',
      'ip link set bond0.20 address a0:36:9f:2c:e8:70',
      'ip link set bond0.20 up',
      'no_dhcp bond0.20',
      'ip -4 addr replace 192.0.2.9/28 dev bond0.20',
      'ip -4 route replace default via 192.0.2.1 dev bond0.20',
      'echo \'bond0.20 192.0.2.9/28\' >"/run/ingot/network/$(cat /sys/class/net/bond0.20/address)"',
    ]);
  });

  test('DHCP and router advertisements are what a card does anyway', () => {
    const networks = ['ipv4_dhcp', 'ipv6_slaac', 'ipv6_dhcp'].map((type) => ({ link: 'tap1', type }));
    expect(commands({ links: [PHY], networks })).toEqual(['ip link set ens3 mtu 1450', 'ip link set ens3 up']);
  });

  test('nothing in it is nothing to do', () => {
    expect(commands({})).toEqual([]);
  });

  test.each([
    [
      'a card that is not here',
      { links: [{ ...PHY, ethernet_mac_address: '00:00:00:00:00:01' }] },
      'no network card 00:00:00:00:00:01',
    ],
    [
      'a network without its link',
      { links: [], networks: [{ link: 'x', type: 'ipv4', ip_address: '192.0.2.1' }] },
      'no link "x"',
    ],
    ['a VLAN on itself', { links: [{ id: 'v', type: 'vlan', vlan_id: 1, vlan_link: 'v' }] }, 'link v is on itself'],
    [
      'an address with a command',
      { links: [PHY], networks: [{ link: 'tap1', type: 'ipv4', ip_address: '1.2.3.4;reboot' }] },
      'is no address',
    ],
    [
      'an address that is none',
      { links: [PHY], networks: [{ link: 'tap1', type: 'ipv4', ip_address: '1.2.3.400/24' }] },
      'is no address',
    ],
    [
      'a bond with a command',
      { links: [{ id: 'a$(b)', type: 'bond', bond_links: [] }] },
      'is no name of a network card',
    ],
    ['a name server with a quote', { services: [{ type: 'dns', address: "'; reboot '" }] }, 'is no address'],
    [
      'a mask with a hole',
      { links: [PHY], networks: [{ link: 'tap1', type: 'ipv4', ip_address: '1.2.3.4', netmask: '255.0.255.0' }] },
      'is no mask',
    ],
  ])('%s is refused', (_, data, why) => {
    expect(() => commands(data)).toThrow(why);
  });

  test.each([STATIC, BOND])('is a script that a shell reads', async (data) => {
    await using scratch = await busyboxScratch();
    const file = join(scratch.root, 'network.sh');
    await writeFile(file, networkCommands(data, CARDS).join('\n'));
    expect(await scratch.script('-n', [file])).toMatchObject({ exitCode: 0, stderr: '' });
  });
});

test.each([
  ['255.255.255.0', '24'],
  ['0.0.0.0', '0'],
  ['255.255.255.255', '32'],
  ['ffff:ffff:ffff:ffff::', '64'],
  ['::', '0'],
  ['24', '24'],
  ['/20', '20'],
])('the mask %s has %s bits', (mask, bits) => {
  expect(prefixOf(mask)).toBe(bits);
});
