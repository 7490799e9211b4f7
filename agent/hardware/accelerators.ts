import type { Details } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { listPci } from './pci.ts';
import { pciNames } from './pci-names.ts';
import { meaning, type SmbiosStructure, textAt } from './smbios.ts';

/** PCI classes (PCI Code and ID Assignment 1.16) of what draws or computes: base class and subclass. */
const KINDS: Readonly<Record<string, string>> = {
  '0300': 'VGA display',
  '0301': 'XGA display',
  '0302': '3D controller',
  '0380': 'display',
  '0b40': 'co-processor',
  '1200': 'processing accelerator',
};

const SLOT = 9;

/** Names on the board of slots by the PCI address of what is in them (SMBIOS 2.6, 7.10). */
function slotNames(structures: readonly SmbiosStructure[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const structure of structures) {
    const { type, bytes } = structure;
    if (type !== SLOT || bytes.length < 0x11 || bytes.readUInt8(0x0f) === 0xff) continue;
    const name = meaning(textAt(structure, 0x04));
    const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
    const device = bytes.readUInt8(0x10);
    const address = `${hex(bytes.readUInt16LE(0x0d), 4)}:${hex(bytes.readUInt8(0x0f), 2)}:${hex(device >> 3, 2)}`;
    if (name !== null) found.set(address, name);
  }
  return found;
}

/** Graphics cards and accelerators, the small one of a BMC included, by PCI address. */
export async function describeAccelerators(
  os: Pick<AgentOs, 'files'>,
  structures: readonly SmbiosStructure[],
): Promise<Details['accelerators']> {
  const devices = (await listPci(os)).filter((device) => device.class.slice(0, 4) in KINDS);
  if (devices.length === 0) return [];
  const nameOf = await pciNames(os);
  const slots = slotNames(structures);
  return devices.map((device) => ({
    kind: KINDS[device.class.slice(0, 4)] ?? '',
    pci_address: device.address,
    vendor_id: device.vendor,
    product_id: device.product,
    subsystem_vendor_id: device.subsystemVendor,
    subsystem_product_id: device.subsystemProduct,
    ...nameOf(device.vendor, device.product),
    slot: slots.get(device.address.slice(0, -2)) ?? null,
    driver: device.driver,
    numa_node: device.numaNode === -1 ? null : device.numaNode,
  }));
}
