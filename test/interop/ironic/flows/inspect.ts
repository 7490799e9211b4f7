import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Inventory } from '../../../../agent/api/inventory.ts';
import { MAC, NODE, ROOT_DISK_SERIAL } from '../names.ts';
import type { Facts } from '../flows.ts';
import { FILES } from '../plan.ts';
import type { World } from '../world.ts';
import { mustBe, mustBeIn } from './must.ts';

/** A boot of the ramdisk under emulation on a busy host. */
export const PATIENCE = ['--wait', '900'];

export async function manage(world: World): Promise<Facts> {
  await world.client.run('node', 'manage', NODE, ...PATIENCE);
  await mustBeIn(world, 'manageable');
  return {};
}

/** Bytes of the ramdisk as the web server has handed it out: Ironic unpacks some kinds of archives, and must not ours. */
async function servedRamdiskBytes({ plan }: World): Promise<number> {
  const log = await readFile(join(plan.folder, FILES.logs, 'images.log'), 'utf8');
  const sizes = [...log.matchAll(/"GET \S+\/deploy_ramdisk \S+" 200 (\d+)/g)].map((match) => Number(match[1]));
  return sizes.at(-1) ?? 0;
}

export async function inspect(world: World): Promise<Facts> {
  const { client, plan } = world;
  await client.run('node', 'inspect', NODE, ...PATIENCE);
  await mustBeIn(world, 'manageable');
  const stored = JSON.parse(await client.run('node', 'inventory', 'save', NODE)) as {
    inventory: Inventory;
    plugin_data: Record<string, unknown>;
  };
  const { inventory } = stored;
  mustBe('inventory memory.physical_mb', inventory.memory.physical_mb, plan.memoryMiB);
  mustBe('inventory cpu.count', inventory.cpu.count, 2);
  mustBe('inventory boot mode', inventory.boot.current_boot_mode, 'uefi');
  mustBe('inventory pxe_interface', inventory.boot.pxe_interface, MAC);
  // In which order the kernel finds them differs from start to start.
  const found = inventory.disks.map(({ name, serial }) => `${name} ${serial}`);
  const wanted = [`/dev/nvme0n1 ${ROOT_DISK_SERIAL}`, '/dev/vda LAB-VIRTIO-1'];
  mustBe('number of disks', found.length, wanted.length);
  for (const disk of wanted)
    mustBe(`inventory has the disk ${disk}, among ${found.join(', ')}`, found.includes(disk), true);
  const properties = (await client.node())?.properties ?? {};
  // Written by the hooks architecture, memory, root-device and boot-mode.
  mustBe('properties.cpu_arch', properties['cpu_arch'], plan.arch);
  mustBe('properties.memory_mb', Number(properties['memory_mb']), plan.memoryMiB);
  const ramdiskBytes = (await stat(plan.ramdisk.initramfs)).size;
  mustBe("the ramdisk's size on its way to the machine", await servedRamdiskBytes(world), ramdiskBytes);
  return {
    ramdiskBytes,
    disks: inventory.disks.length,
    memoryMiB: inventory.memory.physical_mb ?? 0,
    properties: JSON.stringify(properties),
  };
}
