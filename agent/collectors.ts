import type { InspectionData } from './api/inventory.ts';
import type { AgentConfig } from './config/config.ts';
import { collectDmi } from './hardware/dmi-decode.ts';
import { collectExtraHardware } from './hardware/extra-hardware.ts';
import { collectNumaTopology } from './hardware/numa.ts';
import { collectPciDevices } from './hardware/pci.ts';
import { collectUsbDevices } from './hardware/usb.ts';
import type { AgentOs } from './os/door.ts';
import type { AgentParts, Hardware } from './parts.ts';
import { reasonOf } from '../system/failure.ts';

/** What a collector may ask. */
export type CollectorParts = {
  os: AgentOs;
  config: AgentConfig;
  hardware: Hardware;
  managers: AgentParts['managers'];
  /** The collectors of this inspection, in order. */
  names: readonly string[];
  /** base64 of a tar.gz with the logs until now. */
  logs: () => Promise<string>;
  log: (message: string) => void;
  signal: AbortSignal;
};

export type CollectorSpec = {
  /** As in ipa-inspection-collectors. */
  name: string;
  /** Keys of the inspection's body that it fills; Ironic's hooks know them by these names. */
  adds: readonly string[];
  /** Where it has them from. */
  summary: string;
  /** @returns its keys; one that has nothing to say leaves its key out. @throws what then stands in the body's `error` */
  run: (parts: CollectorParts) => Promise<Record<string, unknown>>;
};

async function collectDefault({ hardware, log, managers, names }: CollectorParts): Promise<Partial<InspectionData>> {
  const inventory = await hardware.inventory();
  const disk = await hardware.rootDisk(undefined).catch((error: unknown) => {
    log(`inspection goes without a root disk: ${reasonOf(error)}`);
  });
  const details = await hardware.details().catch((error: unknown) => {
    log(`inspection goes without details: ${reasonOf(error)}`);
  });
  return {
    inventory,
    ...(disk && { root_disk: disk }),
    boot_interface: inventory.boot.pxe_interface,
    ...(details && { ingot: details }),
    configuration: {
      collectors: [...names],
      managers: (await managers()).map(({ name, version }) => ({ name, version })),
    },
  };
}

/** Everything that can be asked for with ipa-inspection-collectors. */
export const COLLECTORS: readonly CollectorSpec[] = [
  {
    name: 'default',
    adds: ['inventory', 'root_disk', 'boot_interface', 'configuration', 'ingot'],
    summary:
      'the machine: network cards, processors, disks, memory, maker, boot mode; `ingot` has what that has no place for',
    run: collectDefault,
  },
  {
    name: 'pci-devices',
    adds: ['pci_devices'],
    summary: 'ids, class, address and NUMA node of each PCI function, from sysfs',
    run: ({ os }) => collectPciDevices(os),
  },
  {
    name: 'numa-topology',
    adds: ['numa_topology'],
    summary: 'memory, cores and network cards of each NUMA node, from sysfs',
    run: ({ os, log }) => collectNumaTopology(os, log),
  },
  {
    name: 'dmi-decode',
    adds: ['dmi'],
    summary:
      'firmware, processors and memory modules in the words of dmidecode, from the kernel’s copy of the DMI table',
    run: ({ os }) => collectDmi(os),
  },
  {
    name: 'usb-devices',
    adds: ['usb_devices'],
    summary: 'devices on USB that are no hubs, from sysfs',
    run: ({ os }) => collectUsbDevices(os),
  },
  {
    name: 'lldp',
    adds: ['lldp_raw'],
    summary: 'what the switch at each network card says of itself and the port; listened for once, from the start',
    run: async ({ hardware }) => ({ lldp_raw: await hardware.network.lldp() }),
  },
  {
    name: 'extra-hardware',
    adds: ['data'],
    summary: 'what `hardware-detect` prints, where the ramdisk has it',
    run: ({ os, config, signal }) => collectExtraHardware(os, config.inspectionBenchmarks, signal),
  },
  {
    name: 'logs',
    adds: ['logs'],
    summary: 'the logs of machine and agent, a packed archive; always the last to run',
    run: async ({ logs }) => ({ logs: await logs() }),
  },
];
