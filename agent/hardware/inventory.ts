import type { Node } from '../api/command.ts';
import type { Disk, Inventory } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { describeCpu } from './cpu.ts';
import { describeMemory, describeSystem } from './dmi.ts';
import { listDisks } from './disks.ts';
import { describeInterfaces, macOfBootInterface } from './interfaces.ts';
import { chooseRootDisk } from './root-disk.ts';

/**
 * What the machine is, collected anew at every call (agent-protocol H.2).
 * @param bootInterface the kernel parameter BOOTIF as it is
 * @throws Failure or AgentError when lsblk or lscpu cannot be read
 */
export async function collectInventory(os: AgentOs, bootInterface: string | undefined): Promise<Inventory> {
  const [interfaces, cpu, disks, memory, systemVendor, isUefi] = await Promise.all([
    describeInterfaces(os),
    describeCpu(os),
    listDisks(os),
    describeMemory(os),
    describeSystem(os),
    os.files.exists('/sys/firmware/efi'),
  ]);
  return {
    interfaces,
    cpu,
    disks: disks.map(({ disk }) => disk),
    memory,
    // Ironic takes null for "no BMC found"; reading it in-band comes with IPMI support.
    bmc_address: null,
    bmc_v6address: null,
    system_vendor: systemVendor,
    boot: { current_boot_mode: isUefi ? 'uefi' : 'bios', pxe_interface: macOfBootInterface(bootInterface) },
    hostname: os.hostname(),
  };
}

/**
 * The disk that an image goes to.
 * @param node whose hints count; undefined for the choice without hints
 * @throws AgentError `DeviceNotFound` that lists the disks
 */
export async function findRootDisk(os: AgentOs, node: Node | undefined): Promise<Disk> {
  return chooseRootDisk(node, await listDisks(os));
}
