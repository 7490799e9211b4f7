import type { CommandSpec } from '../../agent/engine/command-table.ts';
import type { AgentDeps } from '../../agent/commands/deps.ts';
import { GENERIC } from '../../agent/commands/table.ts';
import { makeConfig } from '../../agent/config/config.ts';
import { parseKernelParameters } from '../../agent/config/kernel-parameters.ts';
import { createConsole } from '../../agent/console.ts';
import { createHttp } from '../../agent/ironic/http.ts';
import type { Network } from '../../agent/network.ts';
import type { AgentOs, SystemFiles } from '../../agent/os/door.ts';
import { systemFiles } from '../../agent/os/files.ts';
import type { AgentParts } from '../../agent/parts.ts';
import { openState } from '../../agent/state.ts';
import type { Details, Disk, Inventory } from '../../agent/api/inventory.ts';

/** How clients of tests meet TLS servers. */
export const TLS = { rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;

export const MAC = '52:54:00:11:22:44';

export const DISK: Disk = {
  name: '/dev/sda',
  model: 'QEMU HARDDISK',
  size: 8_589_934_592,
  rotational: true,
  wwn: null,
  serial: 'DISK0',
  vendor: 'ATA',
  wwn_with_extension: null,
  wwn_vendor_extension: null,
  hctl: '0:0:0:0',
  by_path: null,
  logical_sectors: 512,
  physical_sectors: 512,
  tran: 'sata',
};

export const INVENTORY: Inventory = {
  interfaces: [
    {
      name: 'enp0s3',
      mac_address: MAC,
      ipv4_address: '10.0.2.15',
      ipv6_address: null,
      has_carrier: true,
      lldp: null,
      vendor: '0x1af4',
      product: '0x0001',
      client_id: null,
      biosdevname: null,
      speed_mbps: null,
      pci_address: null,
      driver: 'virtio_net',
    },
  ],
  cpu: { model_name: 'QEMU', frequency: '', count: 2, architecture: 'x86_64', flags: ['fpu'], socket_count: 1 },
  disks: [DISK],
  memory: { total: 3_053_297_664, physical_mb: 3072 },
  bmc_address: null,
  bmc_v6address: null,
  system_vendor: {
    product_name: 'Standard PC',
    serial_number: '',
    manufacturer: 'QEMU',
    firmware: { vendor: 'EDK II', version: '2025.02', build_date: '02/02/2025' },
  },
  boot: { current_boot_mode: 'uefi', pxe_interface: MAC },
  hostname: 'rack-1',
};

/** A network that is as the inventory has it, with nothing to wait for. */
export const NETWORK: Network = {
  interfaces: async () => INVENTORY.interfaces,
  settledInterfaces: async () => INVENTORY.interfaces,
  macs: async () => [MAC],
  lldp: async () => ({}),
  bmc: async () => ({ bmc_address: null, bmc_v6address: null }),
  start: () => undefined,
};

export const DETAILS: Details = {
  boot: { secure_boot: false, setup_mode: null },
  dimms: [],
  accelerators: [],
  tpm: null,
  firmware: [{ component: 'BIOS', version: '2025.02', vendor: 'EDK II', date: '02/02/2025' }],
  microcode: null,
};

/** An agent whose network is real loopback and whose machine is not; `output` is its console. */
export async function fakeParts(options: {
  cmdline: string;
  stateDirectory: string;
  /** Instead of the real ones. */
  stateFiles?: SystemFiles;
  os: AgentOs;
  signal: AbortSignal;
  commands?: readonly CommandSpec<AgentDeps>[];
  hardware?: Partial<AgentParts['hardware']>;
  inRamdisk?: boolean;
  /** What files would say. */
  config?: Partial<AgentParts['config']>;
  serverCertificate?: AgentParts['serverCertificate'];
}): Promise<{ parts: AgentParts; output: () => string }> {
  const config = { ...makeConfig(parseKernelParameters(options.cmdline)), ...options.config };
  let written = '';
  const console = createConsole({
    write: (text) => (written += text),
    monotonic: options.os.clock.monotonic,
    debug: true,
  });
  const parts: AgentParts = {
    os: options.os,
    config,
    tlsFiles: {},
    serverCertificate: options.serverCertificate,
    store: await openState(options.stateFiles ?? systemFiles, options.stateDirectory, console.log),
    commands: options.commands ?? [],
    hardware: {
      network: NETWORK,
      inventory: async () => INVENTORY,
      details: async () => DETAILS,
      macs: async () => [MAC],
      rootDisk: async () => DISK,
      ...options.hardware,
    },
    managers: async () => [GENERIC],
    console,
    http: createHttp({ tls: TLS, timeoutMs: 3000 }),
    random: () => 0,
    inRamdisk: options.inRamdisk ?? true,
    signal: options.signal,
  };
  return { parts, output: () => written };
}
