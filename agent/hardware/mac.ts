import type { AgentOs } from '../os/door.ts';

/** MACs that are not told to Ironic: beginnings, and with `!` before them those that are told all the same; the longest counts. */
export type IgnoredMacs = readonly string[];

export function isIgnored(mac: string, ignored: IgnoredMacs): boolean {
  const rules = ignored
    .map((rule) => ({ begin: rule.replace(/^!/, '').toLowerCase(), ignore: !rule.startsWith('!') }))
    .filter(({ begin }) => begin !== '' && mac.toLowerCase().startsWith(begin));
  return rules.toSorted((a, b) => b.begin.length - a.begin.length)[0]?.ignore ?? false;
}

/** An InfiniBand address is 20 bytes (RFC 4391, 9.1.1); its last eight are the port's GUID. */
const INFINIBAND_ADDRESS = /^(?:[0-9a-f]{2}:){12}((?:[0-9a-f]{2}:){7}[0-9a-f]{2})$/;
const MELLANOX = '0x15b3';
const MELLANOX_CLIENT_ID = 'ff:00:00:00:00:00:02:00:00:02:c9:00:';

/**
 * What Ironic knows an interface by: Mellanox's InfiniBand cards boot with a MAC made of their GUID without its middle, and with a
 * DHCP client id made of all of it (IPA `hardware_managers/mlnx.py`).
 */
export function bootIdentity(address: string, vendor: string | null): { mac: string; clientId: string | null } {
  const guid = vendor === MELLANOX ? INFINIBAND_ADDRESS.exec(address)?.[1] : undefined;
  if (guid === undefined) return { mac: address, clientId: null };
  return { mac: `${guid.slice(0, 9)}${guid.slice(15)}`, clientId: `${MELLANOX_CLIENT_ID}${guid}` };
}

/**
 * Permanent addresses by interface as iproute2 says them (`permaddr`); none from busybox's `ip`, which knows no JSON. Asked only where an
 * address is not the one that the hardware came with.
 */
async function permanentAddresses(os: AgentOs): Promise<Map<string, string>> {
  try {
    const { stdout } = await os.run('ip', ['-json', '-details', 'link', 'show']);
    const links = JSON.parse(stdout) as { ifname?: unknown; permaddr?: unknown }[];
    return new Map(
      links.flatMap(({ ifname, permaddr }) =>
        typeof ifname === 'string' && typeof permaddr === 'string' ? [[ifname, permaddr]] : [],
      ),
    );
  } catch {
    return new Map();
  }
}

/** include/uapi/linux/netdevice.h: the address came with the device. */
const NET_ADDR_PERM = '0';

/**
 * The MAC of each interface, lower case: the one that its hardware came with, else its current one. A member of a bond shows the bond's
 * address and has its own beside it.
 * @returns undefined for interfaces without one
 */
export async function macAddresses(os: AgentOs, names: readonly string[]): Promise<(string | undefined)[]> {
  let permanent: Promise<Map<string, string>> | undefined;
  return Promise.all(
    names.map(async (name) => {
      const read = async (file: string) => (await os.files.read(`/sys/class/net/${name}/${file}`))?.trim() || undefined;
      const ofMember = await read('bonding_slave/perm_hwaddr');
      if (ofMember !== undefined) return ofMember.toLowerCase();
      const current = await read('address');
      const assigned = (await read('addr_assign_type')) ?? NET_ADDR_PERM;
      const isHardware = await os.files.exists(`/sys/class/net/${name}/device`);
      if (assigned === NET_ADDR_PERM || !isHardware) return current?.toLowerCase();
      permanent ??= permanentAddresses(os);
      return ((await permanent).get(name) ?? current)?.toLowerCase();
    }),
  );
}
