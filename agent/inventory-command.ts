import { PARAMETERS } from './config/config.ts';
import { parseKernelParameters } from './config/kernel-parameters.ts';
import type { Details, Inventory } from './api/inventory.ts';
import { detectBmc } from './hardware/bmc.ts';
import { collectDetails } from './hardware/details.ts';
import { describeInterfaces } from './hardware/interfaces.ts';
import { collectInventory } from './hardware/inventory.ts';
import { systemOs } from './os/system.ts';

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
/** Texts that are there, with two blanks between them. */
const joined = (...parts: (string | null | undefined | false)[]): string => parts.filter(Boolean).join('  ');
const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];

/** Modules that differ in their slots alone are one line: a server has 32. */
function dimmLines(dimms: Details['dimms']): string[] {
  const groups = new Map<string, string[]>();
  for (const dimm of dimms) {
    const speed = dimm.configured_mts ?? dimm.speed_mts;
    const kind =
      dimm.size_mb === 0
        ? 'empty'
        : joined(
            gib(dimm.size_mb * 2 ** 20),
            dimm.type,
            speed !== null && `${speed} MT/s`,
            dimm.manufacturer,
            dimm.part_number,
          );
    groups.set(kind, [...(groups.get(kind) ?? []), dimm.slot ?? '-']);
  }
  return [...groups].map(([kind, slots]) => `${slots.length} x ${kind}  in ${slots.join(', ')}`);
}

function detailLines({ dimms, accelerators, tpm, firmware, microcode }: Details): string[] {
  return [
    ...section('memory modules', dimmLines(dimms)),
    ...section(
      'graphics and accelerators',
      accelerators.map((card) =>
        joined(
          card.pci_address,
          card.kind,
          card.vendor ?? card.vendor_id,
          card.product ?? `product ${card.product_id}`,
          card.slot !== null && `slot ${card.slot}`,
          card.numa_node !== null && `node ${card.numa_node}`,
        ),
      ),
    ),
    ...section('TPM', tpm ? [joined(tpm.version, tpm.manufacturer, tpm.firmware && `firmware ${tpm.firmware}`)] : []),
    ...section('firmware versions', [
      ...firmware.map(({ component, version, date }) => joined(component, version, date)),
      ...(microcode === null ? [] : [joined('microcode', microcode)]),
    ]),
  ];
}

/** The inventory for people; everything of it is in the JSON form. */
export function describeInventory(inventory: Inventory, details: Details): string {
  const { cpu, memory, system_vendor: vendor, boot, disks, interfaces } = inventory;
  const { secure_boot: secure } = details.boot;
  const mode = `${boot.current_boot_mode}${secure === null ? '' : `, secure boot ${secure ? 'on' : 'off'}`}`;
  return [
    `machine  ${vendor.manufacturer} ${vendor.product_name}, serial ${vendor.serial_number || '-'}`,
    `firmware ${vendor.firmware.vendor} ${vendor.firmware.version} (${mode})`,
    `cpu      ${cpu.count} x ${cpu.model_name}, sockets: ${cpu.socket_count} (${cpu.architecture})`,
    `memory   ${memory.physical_mb} MiB`,
    ...section(
      'disks',
      disks.map((d) => joined(d.name, gib(d.size), d.model ?? '-', `serial ${d.serial ?? '-'}`, d.tran ?? '-')),
    ),
    ...section(
      'network',
      interfaces.map((n) =>
        joined(
          n.name,
          n.mac_address,
          n.ipv4_address ?? n.ipv6_address ?? 'no address',
          n.has_carrier === true ? 'carrier' : 'no carrier',
          n.speed_mbps !== null && `${n.speed_mbps} Mbit/s`,
          n.driver ?? '-',
        ),
      ),
    ),
    ...detailLines(details),
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
  const details = await collectDetails(os);
  const text = options.json
    ? `${JSON.stringify({ ...inventory, ingot: details }, null, 1)}\n`
    : describeInventory(inventory, details);
  options.stdout.write(text);
  return 0;
}
