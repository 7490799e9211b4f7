import type { Disk } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import { type Block, isDisk, listBlocks } from './lsblk.ts';

/** A disk with everything that a hint may be compared with: some disks have more than one serial or WWN. */
export type DiskRecord = { disk: Disk; serials: string[]; wwns: string[] };

type UdevProperties = ReadonlyMap<string, string>;

/** `KEY=VALUE` lines of `udevadm info --query=property`. */
export function parseUdevProperties(output: string): UdevProperties {
  return new Map(
    output.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
    }),
  );
}

async function udevProperties(os: AgentOs, kname: string): Promise<UdevProperties> {
  try {
    const { stdout } = await os.run('udevadm', ['info', '--query=property', `--name=/dev/${kname}`]);
    return parseUdevProperties(stdout);
  } catch {
    return new Map(); // a disk that udev does not know is still a disk
  }
}

async function byPathNames(os: AgentOs): Promise<Map<string, string>> {
  const directory = '/dev/disk/by-path';
  const names = (await os.files.list(directory)).toSorted();
  const found = new Map<string, string>();
  for (const name of names) {
    const target = await os.files.resolve(`${directory}/${name}`);
    // Some disks have two paths of this kind; the first one by name stays, so that it is the same every time.
    if (target !== undefined && !found.has(target)) found.set(target, `${directory}/${name}`);
  }
  return found;
}

const filled = (values: readonly (string | null | undefined)[]): string[] => [
  ...new Set(values.flatMap((value) => (value?.trim() ? [value.trim()] : []))),
];

async function describe(os: AgentOs, block: Block, byPath: ReadonlyMap<string, string>): Promise<DiskRecord> {
  const sys = `/sys/class/block/${block.kname}/device`;
  const [udev, vendor, scsi] = await Promise.all([
    udevProperties(os, block.kname),
    os.files.read(`${sys}/vendor`),
    os.files.list(`${sys}/scsi_device`),
  ]);
  const isMapped = block.kname.startsWith('dm-');
  const property = (name: string) => udev.get(isMapped ? name.replace('ID_', 'DM_') : name);
  const serials = filled([block.serial, property('ID_SERIAL_SHORT'), property('ID_SERIAL')]);
  const wwns = filled([block.wwn, property('ID_WWN')]);
  const name = `/dev/${block.kname}`;
  const disk: Disk = {
    name,
    model: block.model?.trim() || null,
    size: block.size ?? 0,
    rotational: block.rota,
    wwn: wwns[0] ?? null,
    serial: serials[0] ?? null,
    vendor: vendor?.trim() || null,
    wwn_with_extension: udev.get('ID_WWN_WITH_EXTENSION') ?? null,
    wwn_vendor_extension: udev.get('ID_WWN_VENDOR_EXTENSION') ?? null,
    hctl: block.hctl ?? scsi[0] ?? null,
    by_path: byPath.get(name) ?? null,
    logical_sectors: block['log-sec'],
    physical_sectors: block['phy-sec'],
    tran: block.tran,
  };
  return { disk, serials, wwns };
}

/** Disks in the kernel's order, each once. */
export async function describeDisks(os: AgentOs, blocks: readonly Block[]): Promise<DiskRecord[]> {
  const byPath = await byPathNames(os);
  const unique = [...new Map(blocks.filter((block) => isDisk(block)).map((block) => [block.kname, block])).values()];
  return Promise.all(unique.map((block) => describe(os, block, byPath)));
}

/**
 * All disks of the machine.
 * @throws AgentError `BlockDeviceError` when lsblk cannot be read
 */
export async function listDisks(os: AgentOs): Promise<DiskRecord[]> {
  return describeDisks(os, await listBlocks(os));
}
