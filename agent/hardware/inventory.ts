import type { Node } from '../api/command.ts';
import type { Disk, Inventory, NetworkInterface } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { describeCpu } from './cpu.ts';
import { type Bmc, NO_BMC } from './bmc.ts';
import { describeMemory, describeSystem, findDmi } from './dmi.ts';
import { listDisks, readStorage } from './disks.ts';
import { describeInterfaces, macOfBootInterface } from './interfaces.ts';
import { assembleArrays } from './md.ts';
import { chooseRootDisk } from './root-disk.ts';
import { mayHaveArrays, rootCandidates, rootVolume } from './root-volume.ts';

/** Where the inventory's network part comes from. */
export type NetworkSources = { interfaces: () => Promise<NetworkInterface[]>; bmc: () => Promise<Bmc> };

/**
 * What the machine is, collected anew at every call (agent-protocol H.2).
 * @param bootInterface the kernel parameter BOOTIF as it is
 * @param network interfaces as they are, and no BMC, unless said
 * @throws Failure or AgentError when lsblk or lscpu cannot be read
 */
export async function collectInventory(
  os: AgentOs,
  bootInterface: string | undefined,
  network: NetworkSources = { interfaces: () => describeInterfaces(os), bmc: async () => NO_BMC },
): Promise<Inventory> {
  const dmi = await findDmi(os);
  const [interfaces, bmc, cpu, disks, systemVendor, isUefi] = await Promise.all([
    network.interfaces(),
    network.bmc(),
    describeCpu(os, dmi),
    listDisks(os),
    describeSystem(os),
    os.files.exists('/sys/firmware/efi'),
  ]);
  return {
    interfaces,
    cpu,
    disks: disks.map(({ disk }) => disk),
    memory: describeMemory(os, dmi),
    ...bmc,
    system_vendor: systemVendor,
    boot: { current_boot_mode: isUefi ? 'uefi' : 'bios', pxe_interface: macOfBootInterface(bootInterface) },
    hostname: os.hostname(),
  };
}

/**
 * The disk that an image goes to. Arrays are started where the node is said to have some.
 * @param node whose hints count; undefined for the choice without hints
 * @throws AgentError `DeviceNotFound` that lists the disks
 */
export async function findRootDisk(os: AgentOs, node: Node | undefined): Promise<Disk> {
  if (mayHaveArrays(node)) await assembleArrays(os);
  const { disks, others } = await readStorage(os);
  const volume = rootVolume(node, disks);
  return volume?.disk ?? chooseRootDisk(node, rootCandidates(node, disks), others);
}
