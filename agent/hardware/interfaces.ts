import type { NetworkInterface } from '../api/inventory.ts';
import type { AgentOs, NetworkAddress } from '../os/door.ts';

const PCI_ADDRESS = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

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

/** As Python shows it: a link-local address carries its interface. */
function showIpv6(address: NetworkAddress | undefined): string | null {
  if (!address) return null;
  return address.address.startsWith('fe80:') ? `${address.address}%${address.interface}` : address.address;
}

async function describe(os: AgentOs, name: string): Promise<NetworkInterface | undefined> {
  const sys = `/sys/class/net/${name}`;
  const read = async (file: string) => (await os.files.read(`${sys}/${file}`))?.trim() || null;
  const device = await os.files.resolve(`${sys}/device`);
  const isBond = await os.files.exists(`${sys}/bonding`);
  if (device === undefined && !isBond && !/\.\d+$/.test(name)) return undefined;
  // A member of a bond shows the bond's address; its own is kept beside it.
  const mac = (await read('bonding_slave/perm_hwaddr')) ?? (await read('address'));
  if (mac === null) return undefined;
  const speed = Number((await read('speed')) ?? -1);
  const driver = await os.files.resolve(`${sys}/device/driver`);
  const addresses = os.addresses().filter((address) => address.interface === name);
  return {
    name,
    mac_address: mac.toLowerCase(),
    ipv4_address: addresses.find(({ family }) => family === 4)?.address ?? null,
    ipv6_address: showIpv6(addresses.find(({ family }) => family === 6)),
    has_carrier: (await read('carrier')) === '1',
    lldp: null,
    vendor: await read('device/vendor'),
    product: await read('device/device'),
    client_id: null,
    biosdevname: null,
    speed_mbps: Number.isInteger(speed) && speed > 0 ? speed : null,
    pci_address: device === undefined ? null : pciAddressOf(device),
    driver: driver?.split('/').at(-1) ?? null,
  };
}

/** Network interfaces that are hardware, bonds or VLANs; bridges, tunnels and the loopback are none. By name. */
export async function describeInterfaces(os: AgentOs): Promise<NetworkInterface[]> {
  const names = (await os.files.list('/sys/class/net')).toSorted();
  const found = await Promise.all(names.map((name) => describe(os, name)));
  return found.filter((entry) => entry !== undefined);
}
