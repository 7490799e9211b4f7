import type { AgentOs } from '../os/door.ts';
import { defineFailures } from '../../system/failure.ts';
import { meaning, readSmbios, type SmbiosStructure } from './smbios.ts';

const TABLE = '/sys/firmware/dmi/tables/DMI';
const PROCESSOR = 4;
const MEMORY_ARRAY = 16;
const MEMORY_DEVICE = 17;
const SYSTEM_MEMORY = 3;

const failure = defineFailures({
  NO_DMI: {
    message: (detail) => `cannot read the firmware's DMI table: ${detail}`,
    hint: 'machines that are described by a device tree alone have none; leave the collector dmi-decode out',
  },
});

/** The structures of the firmware's table, none where there is no table. */
export async function findDmi(os: Pick<AgentOs, 'files'>): Promise<SmbiosStructure[]> {
  const table = await os.files.readBytes(TABLE);
  return table ? readSmbios(table) : [];
}

/** @throws Failure `NO_DMI` where there is no table */
export async function readDmi(os: Pick<AgentOs, 'files'>): Promise<SmbiosStructure[]> {
  const structures = await findDmi(os);
  if (structures.length === 0) throw failure('NO_DMI', `there is nothing in ${TABLE}`);
  return structures;
}

/** SMBIOS 3.7, 7.18.5: size of one memory module in MiB; 0 for an empty or unknown slot. */
export function moduleMib({ bytes }: SmbiosStructure): number {
  if (bytes.length < 0x0e) return 0;
  const size = bytes.readUInt16LE(0x0c);
  if (size === 0xff_ff) return 0;
  if (size === 0x7f_ff) return bytes.length >= 0x20 ? bytes.readUInt32LE(0x1c) & 0x7f_ff_ff_ff : 0;
  return (size & 0x80_00) === 0 ? size : Math.floor((size & 0x7f_ff) / 1024);
}

/** Modules and empty slots of the machine's memory: what belongs to an array for something else (the firmware's flash) is none. */
export function memoryDevices(structures: readonly SmbiosStructure[]): SmbiosStructure[] {
  const others = new Set(
    structures
      .filter(({ type, bytes }) => type === MEMORY_ARRAY && bytes.length > 0x05 && bytes[0x05] !== SYSTEM_MEMORY)
      .map(({ handle }) => handle),
  );
  return structures.filter(
    ({ type, bytes }) => type === MEMORY_DEVICE && !(bytes.length >= 0x06 && others.has(bytes.readUInt16LE(0x04))),
  );
}

/** Memory that the firmware says is installed, MiB; 0 when it does not say. */
export function installedMemoryMib(structures: readonly SmbiosStructure[]): number {
  return memoryDevices(structures).reduce((sum, device) => sum + moduleMib(device), 0);
}

/** Processors in their sockets (7.5: bit 6 of the status), and the speed at which the first started, MHz; 0 and undefined where it is not said. */
export function processorsOf(structures: readonly SmbiosStructure[]): { sockets: number; mhz: number | undefined } {
  const there = structures.filter(
    ({ type, bytes }) => type === PROCESSOR && bytes.length >= 0x1a && ((bytes[0x18] ?? 0) & 0x40) !== 0,
  );
  return { sockets: there.length, mhz: there[0]?.bytes.readUInt16LE(0x16) || undefined };
}

/** Memory of the inventory: bytes as the kernel counts, MiB as installed (what the kernel counts where DMI does not say). */
export function describeMemory(
  os: Pick<AgentOs, 'totalMemoryBytes'>,
  structures: readonly SmbiosStructure[],
): { total: number; physical_mb: number } {
  const total = os.totalMemoryBytes();
  return { total, physical_mb: installedMemoryMib(structures) || Math.floor(total / 1024 ** 2) };
}

/** Texts of the device tree end with a zero byte; `compatible` is several of them. */
async function deviceTree(os: Pick<AgentOs, 'files'>) {
  const read = async (name: string) =>
    ((await os.files.read(`/proc/device-tree/${name}`)) ?? '').split('\0')[0]?.trim();
  const [model = '', serial = '', compatible = ''] = await Promise.all(
    ['model', 'serial-number', 'compatible'].map(read),
  );
  return { model, serial, maker: /^([^,]+),/.exec(compatible)?.[1] ?? '' };
}

/**
 * Maker, product, serial number and firmware as the kernel shows them from DMI, as they are, placeholders of firmware included;
 * where there is no DMI (boards of Arm and LoongArch), product, serial number and maker of the device tree. Empty where neither says it.
 */
export async function describeSystem(os: Pick<AgentOs, 'files'>) {
  const read = async (name: string) => ((await os.files.read(`/sys/class/dmi/id/${name}`)) ?? '').trim();
  const names = ['product_name', 'product_serial', 'sys_vendor', 'bios_vendor', 'bios_version', 'bios_date'];
  const [product = '', serial = '', maker = '', vendor = '', version = '', date = ''] = await Promise.all(
    names.map(read),
  );
  const tree = meaning(product) === null ? await deviceTree(os) : { model: '', serial: '', maker: '' };
  return {
    product_name: tree.model || product,
    serial_number: serial || tree.serial,
    manufacturer: maker || tree.maker,
    firmware: { vendor, version, build_date: date },
  };
}
