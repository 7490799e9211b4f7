import type { AgentOs } from '../os/door.ts';

const MEMORY_DEVICE = 17;
const END_OF_TABLE = 127;

/** SMBIOS 3.7, 7.18.5: size of one memory module in MiB; 0 for an empty or unknown slot. */
function moduleMib(structure: Buffer): number {
  if (structure.length < 0x0e) return 0;
  const size = structure.readUInt16LE(0x0c);
  if (size === 0xff_ff) return 0;
  if (size === 0x7f_ff) return structure.length >= 0x20 ? structure.readUInt32LE(0x1c) & 0x7f_ff_ff_ff : 0;
  return (size & 0x80_00) === 0 ? size : Math.floor((size & 0x7f_ff) / 1024);
}

/**
 * Memory that the firmware says is installed, MiB.
 * @param table content of /sys/firmware/dmi/tables/DMI
 * @returns 0 when it does not say
 */
export function installedMemoryMib(table: Uint8Array): number {
  const bytes = Buffer.from(table.buffer, table.byteOffset, table.byteLength);
  let total = 0;
  for (let at = 0; at + 4 <= bytes.length;) {
    const type = bytes.readUInt8(at);
    const length = bytes.readUInt8(at + 1);
    if (length < 4 || type === END_OF_TABLE) break;
    if (type === MEMORY_DEVICE) total += moduleMib(bytes.subarray(at, at + length));
    // The formatted part is followed by its texts, which end with two zero bytes.
    const end = bytes.indexOf('\0\0', at + length, 'latin1');
    if (end < 0) break;
    at = end + 2;
  }
  return total;
}

/** Memory of the inventory: bytes as the kernel counts, MiB as installed (what the kernel counts where DMI does not say). */
export async function describeMemory(os: AgentOs): Promise<{ total: number; physical_mb: number }> {
  const total = os.totalMemoryBytes();
  const table = await os.files.readBytes('/sys/firmware/dmi/tables/DMI');
  const installed = table ? installedMemoryMib(table) : 0;
  return { total, physical_mb: installed || Math.floor(total / 1024 ** 2) };
}

/** Maker, product, serial number and firmware as the kernel shows them; empty where it does not. */
export async function describeSystem(os: AgentOs) {
  const read = async (name: string) => ((await os.files.read(`/sys/class/dmi/id/${name}`)) ?? '').trim();
  const [product, serial, maker, vendor, version, date] = await Promise.all(
    ['product_name', 'product_serial', 'sys_vendor', 'bios_vendor', 'bios_version', 'bios_date'].map((name) =>
      read(name),
    ),
  );
  return {
    product_name: product ?? '',
    serial_number: serial ?? '',
    manufacturer: maker ?? '',
    firmware: { vendor: vendor ?? '', version: version ?? '', build_date: date ?? '' },
  };
}
