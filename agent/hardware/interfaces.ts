import type { NetworkInterface } from '../api/inventory.ts';
import type { AgentOs, NetworkAddress } from '../os/door.ts';
import type { LldpData } from './lldp.ts';
import { bootIdentity, type IgnoredMacs, isIgnored, macAddresses } from './mac.ts';

const PCI_ADDRESS = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
/** As IPA and `ip link add` name them here: nothing else says in sysfs what is a VLAN. */
const VLAN_NAME = /^[^.]+\.\d+$/;
/** Faster than anything that there is; the kernel's "unknown" is -1, and was 2^32 - 1 of some drivers. */
const FASTEST_MBPS = 10_000_000;

/** The PCI function that a device hangs on, however many buses (virtio, USB) are in between. */
export function pciAddressOf(devicePath: string): string | null {
  return devicePath.split('/').findLast((part) => PCI_ADDRESS.test(part)) ?? null;
}

/** MAC of a `BOOTIF` parameter, which PXELINUX writes as 01-aa-bb-… and iPXE as aa:bb:…. */
export function macOfBootInterface(bootInterface: string | undefined): string | null {
  const text = bootInterface?.trim().toLowerCase().replaceAll('-', ':');
  const mac = /^(?:[0-9a-f]{2}:)?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})$/.exec(text ?? '');
  return mac?.[1] ?? null;
}

const isLinkLocal = (address: string): boolean => /^fe[89ab][0-9a-f]:/i.test(address);

/** As Python shows it: a link-local address carries its interface. */
function showIpv6(addresses: readonly NetworkAddress[]): string | null {
  const six = addresses.filter(({ family }) => family === 6);
  const address = (six.find((one) => !isLinkLocal(one.address)) ?? six[0])?.address;
  if (address === undefined) return null;
  return isLinkLocal(address) ? `${address}%${six[0]?.interface}` : address;
}

async function biosdevname(os: AgentOs, name: string): Promise<string | null> {
  // It ends with exit code 4 in virtual machines, and with others where the firmware does not say.
  const answer = await os.run('biosdevname', ['-i', name]).catch(() => undefined);
  return answer?.stdout.trim() || null;
}

async function isCounted(os: AgentOs, name: string): Promise<boolean> {
  if (VLAN_NAME.test(name)) return true;
  const sys = `/sys/class/net/${name}`;
  return (await os.files.exists(`${sys}/device`)) || os.files.exists(`${sys}/bonding`);
}

export type InterfaceOptions = {
  /** None unless said. */
  ignoredMacs?: IgnoredMacs;
  /** What was heard; an interface that it does not have gets null. */
  lldp?: LldpData;
};

/** Names of the interfaces that are hardware, bonds or VLANs, sorted. */
async function interfaceNames(os: AgentOs): Promise<string[]> {
  const all = (await os.files.list('/sys/class/net')).toSorted();
  const counted = await Promise.all(all.map((name) => isCounted(os, name)));
  return all.filter((_, at) => counted[at]);
}

/** MACs of the interfaces that `describeInterfaces` describes, each once, by a tenth of its reads. */
export async function interfaceMacs(os: AgentOs, ignoredMacs: IgnoredMacs = []): Promise<string[]> {
  const names = await interfaceNames(os);
  const macs = await macAddresses(os, names);
  const found = await Promise.all(
    macs.map(async (address, at) => {
      if (address === undefined || isIgnored(address, ignoredMacs)) return [];
      const vendor = (await os.files.read(`/sys/class/net/${names[at]}/device/vendor`))?.trim() || null;
      return [bootIdentity(address, vendor).mac];
    }),
  );
  // A VLAN has the MAC of what it is on.
  return [...new Set(found.flat())];
}

/**
 * Network interfaces that are hardware, bonds or VLANs; bridges, tunnels and the loopback are none (agent-protocol H.2). By name.
 * Never waits for anything.
 */
export async function describeInterfaces(os: AgentOs, options: InterfaceOptions = {}): Promise<NetworkInterface[]> {
  const names = await interfaceNames(os);
  const macs = await macAddresses(os, names);
  const hasBiosdevname = (
    await Promise.all(['/usr/sbin/biosdevname', '/usr/bin/biosdevname', '/sbin/biosdevname'].map(os.files.exists))
  ).includes(true);
  const addresses = os.addresses();
  const ignored = options.ignoredMacs ?? [];

  const describe = async (name: string, address: string): Promise<NetworkInterface> => {
    const sys = `/sys/class/net/${name}`;
    const read = async (file: string) => (await os.files.read(`${sys}/${file}`))?.trim() || null;
    const device = await os.files.resolve(`${sys}/device`);
    const driver = await os.files.resolve(`${sys}/device/driver`);
    const vendor = await read('device/vendor');
    const speed = Number((await read('speed')) ?? -1);
    const { mac, clientId } = bootIdentity(address, vendor);
    const own = addresses.filter((one) => one.interface === name);
    return {
      name,
      mac_address: mac,
      ipv4_address: own.find(({ family }) => family === 4)?.address ?? null,
      ipv6_address: showIpv6(own),
      has_carrier: (await read('carrier')) === '1',
      lldp: options.lldp?.[name] ?? null,
      vendor,
      product: await read('device/device'),
      client_id: clientId,
      biosdevname: hasBiosdevname && !VLAN_NAME.test(name) ? await biosdevname(os, name) : null,
      speed_mbps: Number.isInteger(speed) && speed > 0 && speed <= FASTEST_MBPS ? speed : null,
      pci_address: device === undefined ? null : pciAddressOf(device),
      driver: driver?.split('/').at(-1) ?? null,
    };
  };
  const found = names.flatMap((name, at) => {
    const mac = macs[at];
    return mac === undefined || isIgnored(mac, ignored) ? [] : [describe(name, mac)];
  });
  return Promise.all(found);
}
