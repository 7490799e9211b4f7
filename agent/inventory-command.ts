import { PARAMETERS } from './config/config.ts';
import { parseKernelParameters } from './config/kernel-parameters.ts';
import type { Inventory } from './api/inventory.ts';
import { detectBmc } from './hardware/bmc.ts';
import { describeInterfaces } from './hardware/interfaces.ts';
import { collectInventory } from './hardware/inventory.ts';
import { systemOs } from './os/system.ts';

/** The inventory for people; everything of it is in the JSON form. */
export function describeInventory(inventory: Inventory): string {
  const { cpu, memory, system_vendor: vendor, boot, disks, interfaces } = inventory;
  const disk = disks.map(
    (d) =>
      `  ${d.name}  ${(d.size / 2 ** 30).toFixed(1)} GiB  ${d.model ?? '-'}  serial ${d.serial ?? '-'}  ${d.tran ?? '-'}`,
  );
  const nic = interfaces.map((n) => {
    const carrier = n.has_carrier === true ? 'carrier' : 'no carrier';
    return `  ${n.name}  ${n.mac_address}  ${n.ipv4_address ?? n.ipv6_address ?? 'no address'}  ${carrier}  ${n.driver ?? '-'}`;
  });
  return [
    `machine  ${vendor.manufacturer} ${vendor.product_name}, serial ${vendor.serial_number || '-'}`,
    `firmware ${vendor.firmware.vendor} ${vendor.firmware.version} (${boot.current_boot_mode})`,
    `cpu      ${cpu.count} x ${cpu.model_name} (${cpu.architecture})`,
    `memory   ${memory.physical_mb} MiB`,
    'disks',
    ...disk,
    'network',
    ...nic,
    '',
  ].join('\n');
}

/** `ingot-agent inventory [--json]`. */
export async function showInventory(options: {
  stdout: { write: (text: string) => unknown };
  json: boolean;
}): Promise<number> {
  const os = systemOs();
  const parameters = parseKernelParameters((await os.files.read('/proc/cmdline')) ?? '');
  const inventory = await collectInventory(os, parameters.get('BOOTIF'), {
    interfaces: () => describeInterfaces(os, { ignoredMacs: PARAMETERS.ignoredMacs.default }),
    bmc: () => detectBmc({ os, loadModules: false, log: () => undefined }),
  });
  options.stdout.write(options.json ? `${JSON.stringify(inventory, null, 1)}\n` : describeInventory(inventory));
  return 0;
}
