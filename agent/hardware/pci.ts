import type { AgentOs } from '../os/door.ts';

const DEVICES = '/sys/bus/pci/devices';

/** One PCI function. Ids are hexadecimal without 0x, as Ironic's hooks compare them: vendor and product 4 digits, class 6. */
export type PciDevice = {
  /** 0000:3b:00.0 */
  address: string;
  vendor: string;
  product: string;
  class: string;
  revision: string | null;
  subsystemVendor: string | null;
  subsystemProduct: string | null;
  /** -1 where the firmware does not say. */
  numaNode: number | null;
  driver: string | null;
};

/** `0x8086` to `8086`; undefined for what is no such number. */
function hexDigits(text: string | undefined): string | undefined {
  return /^0x([0-9a-f]+)$/i.exec(text?.trim() ?? '')?.[1]?.toLowerCase();
}

/** All PCI functions that say what they are, by address. */
export async function listPci(os: Pick<AgentOs, 'files'>): Promise<PciDevice[]> {
  const addresses = (await os.files.list(DEVICES)).toSorted();
  const found = await Promise.all(
    addresses.map(async (address): Promise<PciDevice[]> => {
      const read = (name: string) => os.files.read(`${DEVICES}/${address}/${name}`);
      const [vendor, product, kind, revision, subsystemVendor, subsystemProduct] = (
        await Promise.all(['vendor', 'device', 'class', 'revision', 'subsystem_vendor', 'subsystem_device'].map(read))
      ).map(hexDigits);
      if (vendor === undefined || product === undefined || kind === undefined) return [];
      const node = (await read('numa_node'))?.trim() ?? '';
      const driver = await os.files.resolve(`${DEVICES}/${address}/driver`);
      return [
        {
          address,
          vendor,
          product,
          class: kind,
          revision: revision ?? null,
          subsystemVendor: subsystemVendor ?? null,
          subsystemProduct: subsystemProduct ?? null,
          numaNode: /^-?\d+$/.test(node) ? Number(node) : null,
          driver: driver?.split('/').at(-1) ?? null,
        },
      ];
    }),
  );
  return found.flat();
}

/** The collector pci-devices: IPA's shape, in which the NUMA node is text. */
export async function collectPciDevices(os: Pick<AgentOs, 'files'>): Promise<Record<string, unknown>> {
  const devices = await listPci(os);
  return {
    pci_devices: devices.map((device) => ({
      vendor_id: device.vendor,
      product_id: device.product,
      class: device.class,
      revision: device.revision,
      bus: device.address,
      numa_node_id: device.numaNode === null ? null : String(device.numaNode),
    })),
  };
}
