// @ts-check
'use strict';
// OpenStack's network_data.json (nova's specification "metadata-service-network-info") as shell commands for busybox. Everything
// from the document that gets into a command is checked to be a number, an address or a name first.

/**
 * @typedef {{ id: string, type?: string, ethernet_mac_address?: string, mtu?: number | null, vlan_id?: number | string, vlan_link?: string,
 *   vlan_mac_address?: string, bond_links?: string[], bond_mode?: string, bond_miimon?: number | string, bond_xmit_hash_policy?: string }} Link
 * @typedef {{ network?: string, netmask?: string, gateway?: string }} Route
 * @typedef {{ type?: string, address?: string }} Service
 * @typedef {{ link?: string, type?: string, ip_address?: string, netmask?: string, gateway?: string, routes?: Route[],
 *   services?: Service[] }} Network
 * @typedef {{ links?: Link[], networks?: Network[], services?: Service[] }} NetworkData
 */

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const IPV6 = /^[0-9a-f:]*:[0-9a-f:]*(?:\d+\.\d+\.\d+\.\d+)?$/i;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** @param {unknown} value text or a number, and nothing else @returns {string} */
const textOf = (value) => (typeof value === 'string' || typeof value === 'number' ? `${value}` : '');

/** @param {unknown} value @param {RegExp[]} forms @param {string} what */
function checked(value, forms, what) {
  const text = textOf(value);
  if (!forms.some((form) => form.test(text))) throw new Error(`${JSON.stringify(value)} is no ${what}`);
  return text;
}

/** How many bits a mask has: `255.255.255.0`, `ffff:ffff::`, `24` or `/24`. @param {unknown} mask */
function prefixOf(mask) {
  const text = textOf(mask).replace(/^\//, '');
  if (/^\d{1,3}$/.test(text)) return text;
  const groups = IPV4.test(text)
    ? text.split('.').map((part) => Number(part).toString(2).padStart(8, '0'))
    : checked(text, [IPV6], 'mask')
        .split('::')[0]
        .split(':')
        .filter(Boolean)
        .map((part) => parseInt(part, 16).toString(2).padStart(16, '0'));
  const bits = groups.join('').replace(/0+$/, '');
  if (bits.includes('0')) throw new Error(`${text} is no mask`);
  return String(bits.length);
}

/** `10.0.0.5/24` of an address that has its mask in it or beside it. @param {unknown} address @param {unknown} mask */
function withPrefix(address, mask) {
  const [alone = '', own] = textOf(address).split('/');
  checked(alone, [IPV4, IPV6], 'address');
  const prefix = own ?? (mask === undefined || mask === null ? (alone.includes(':') ? '128' : '32') : prefixOf(mask));
  return `${alone}/${checked(prefix, [/^\d{1,3}$/], 'length of a prefix')}`;
}

/** @param {Network} network @param {string} name */
function addressCommands(network, name) {
  if (!/^ipv[46]$/.test(network.type ?? '')) return [];
  const address = withPrefix(network.ip_address, network.netmask);
  const ip = network.type === 'ipv6' ? 'ip -6' : 'ip -4';
  const gateway = network.gateway ? [{ network: '', netmask: '0', gateway: network.gateway }] : [];
  const routes = [...(network.routes ?? []), ...gateway].map((route) => {
    const via = checked(route.gateway, [IPV4, IPV6], 'gateway');
    const [target = ''] = textOf(route.network).split('/');
    const isDefault =
      target === '' || ((target === '0.0.0.0' || target === '::') && prefixOf(route.netmask ?? 0) === '0');
    const to = isDefault || textOf(route.network).endsWith('/0') ? 'default' : withPrefix(route.network, route.netmask);
    return `${ip} route replace ${to} via ${via} dev ${name}`;
  });
  return [`${ip} addr replace ${address} dev ${name}`, ...routes];
}

/** The lines of resolv.conf. @param {NetworkData} data */
function nameServers(data) {
  const services = [...(data.services ?? []), ...(data.networks ?? []).flatMap((network) => network.services ?? [])];
  const addresses = services
    .filter(({ type }) => type === 'dns')
    .map(({ address }) => checked(address, [IPV4, IPV6], 'address'));
  return [...new Set(addresses)].map((address) => `nameserver ${address}`);
}

/** @param {Link} link @param {string[]} members */
function bondCommands(link, members) {
  const name = link.id;
  const folder = `/sys/class/net/${name}/bonding`;
  const set = (/** @type {string} */ file, /** @type {unknown} */ value) =>
    value === undefined || value === null || value === ''
      ? []
      : [`echo ${checked(value, [/^[\w+.-]+$/], `value for ${file}`)} >${folder}/${file}`];
  return [
    'modprobe bonding max_bonds=0',
    `[ -e ${folder} ] || echo +${name} >/sys/class/net/bonding_masters`,
    ...set('mode', link.bond_mode ?? 'active-backup'),
    ...set('miimon', link.bond_miimon ?? 100),
    ...set('xmit_hash_policy', link.bond_xmit_hash_policy),
    // A card may only join while it is down.
    ...members.flatMap((member) => [`ip link set ${member} down`, `echo +${member} >${folder}/slaves`]),
  ];
}

/**
 * The commands that set up what a document says.
 * @param {NetworkData} data
 * @param {Readonly<Record<string, string>>} cards names of this machine's network cards by MAC address, lower case
 * @returns {string[]} lines of a shell script
 */
function networkCommands(data, cards) {
  const links = data.links ?? [];
  /** @type {Map<string, string>} */
  const names = new Map();
  /** @param {string | undefined} id @param {string[]} above @returns {string} */
  const nameOf = (id, above = []) => {
    const link = links.find((one) => one.id === id);
    if (link === undefined) throw new Error(`there is no link ${JSON.stringify(id)}`);
    if (above.includes(link.id)) throw new Error(`link ${link.id} is on itself`);
    if (link.type === 'vlan') {
      const number = checked(link.vlan_id, [/^\d{1,4}$/], 'VLAN');
      return `${nameOf(link.vlan_link, [...above, link.id])}.${number}`;
    }
    if (link.type === 'bond') return checked(link.id, [/^[A-Za-z][\w.-]{0,14}$/], 'name of a network card');
    const mac = checked(link.ethernet_mac_address, [MAC], 'MAC address').toLowerCase();
    const card = cards[mac];
    if (card === undefined) throw new Error(`this machine has no network card ${mac}`);
    return checked(card, [/^[\w.:-]{1,15}$/], 'name of a network card');
  };
  for (const link of links) names.set(link.id, nameOf(link.id));
  const name = (/** @type {string | undefined} */ id) => names.get(id ?? '') ?? nameOf(id);
  const networks = data.networks ?? [];
  const bonded = links.flatMap((link) => (link.type === 'bond' ? (link.bond_links ?? []) : []));
  // What has a fixed address, and what is a part of something else, does not ask for another.
  const isFixed = (/** @type {Link} */ link) =>
    bonded.includes(link.id) ||
    (networks.some((one) => one.link === link.id && one.type === 'ipv4') &&
      !networks.some((one) => one.link === link.id && one.type === 'ipv4_dhcp'));
  const rank = (/** @type {Link} */ link) => (link.type === 'vlan' ? 2 : link.type === 'bond' ? 1 : 0);
  const lines = links
    .toSorted((a, b) => rank(a) - rank(b))
    .flatMap((link) => {
      const own = name(link.id);
      const made =
        link.type === 'bond'
          ? bondCommands(link, (link.bond_links ?? []).map(name))
          : link.type === 'vlan'
            ? [
                'modprobe 8021q',
                `[ -e /sys/class/net/${own} ] || ip link add link ${name(link.vlan_link)} name ${own} type vlan id ${link.vlan_id}`,
              ]
            : [];
      const mac =
        link.type === 'vlan' ? link.vlan_mac_address : link.type === 'bond' ? link.ethernet_mac_address : undefined;
      return [
        ...(isFixed(link) ? [`no_dhcp ${own}`] : []),
        ...made,
        ...(mac ? [`ip link set ${own} address ${checked(mac, [MAC], 'MAC address')}`] : []),
        ...(link.mtu ? [`ip link set ${own} mtu ${checked(link.mtu, [/^\d{2,5}$/], 'MTU')}`] : []),
        ...(bonded.includes(link.id) ? [] : [`ip link set ${own} up`]),
        ...(isFixed(link) ? [`no_dhcp ${own}`] : []),
      ];
    });
  const servers = nameServers(data);
  return [
    // udev starts a DHCP client for each card, also for those that come into being here.
    'no_dhcp() {',
    '  : >/run/ingot/fixed.$1',
    '  [ -e /run/ingot/udhcpc.$1.pid ] && kill "$(cat /run/ingot/udhcpc.$1.pid)" 2>/dev/null',
    '  [ -e /run/ingot/udhcpc6.$1.pid ] && kill "$(cat /run/ingot/udhcpc6.$1.pid)" 2>/dev/null',
    '  [ -s /run/ingot/address6.$1 ] && ip -6 addr del "$(cat /run/ingot/address6.$1)/128" dev $1',
    '  ip -4 addr flush dev $1 2>/dev/null',
    '  rm -f "/run/ingot/network/$(cat /sys/class/net/$1/address 2>/dev/null)"',
    '}',
    ...lines,
    ...networks.flatMap((network) => addressCommands(network, name(network.link))),
    ...(servers.length === 0
      ? []
      : [
          `printf '%s\\n' ${servers.map((line) => `'${line}'`).join(' ')} >/etc/resolv.conf`,
          ': >/run/ingot/resolv.boot',
        ]),
    ...networks
      .filter(({ type }) => type === 'ipv4' || type === 'ipv6')
      .map((network) => {
        const own = name(network.link);
        return `echo '${own} ${withPrefix(network.ip_address, network.netmask)}' >"/run/ingot/network/$(cat /sys/class/net/${own}/address)"`;
      }),
  ];
}

/** This machine's network cards by MAC address; not those that are made of others. */
function cardsOf() {
  const fs = require('node:fs');
  const cards = fs.readdirSync('/sys/class/net').filter((name) => fs.existsSync(`/sys/class/net/${name}/device`));
  // A card in a bond has the bond's address now, and its own elsewhere.
  const mac = (/** @type {string} */ name) => {
    const own = `/sys/class/net/${name}/bonding_slave/perm_hwaddr`;
    return fs
      .readFileSync(fs.existsSync(own) ? own : `/sys/class/net/${name}/address`, 'utf8')
      .trim()
      .toLowerCase();
  };
  return Object.fromEntries(cards.map((name) => [mac(name), name]));
}

module.exports = { networkCommands, prefixOf };

if (require.main === module) {
  try {
    const data = JSON.parse(require('node:fs').readFileSync(process.argv[2] ?? '', 'utf8'));
    process.stdout.write(`${networkCommands(data, cardsOf()).join('\n')}\n`);
  } catch (error) {
    process.stderr.write(
      `cannot use the network data of the config drive: ${error instanceof Error ? error.message : 'it is damaged'}\n`,
    );
    process.exitCode = 1;
  }
}
