import type { Disk } from '../api/inventory.ts';
import type { AgentOs } from '../os/door.ts';
import type { AtaSecurity, DiskModel, NotADisk, Storage } from './disk-model.ts';
import { type Block, eachOnce, isDisk, readBlocks, withAncestors, withDescendants } from './lsblk.ts';
import { groupPaths, partOf } from './paths.ts';
import { readUdevData, settleUdev, type UdevProperties } from './udev-data.ts';
import { virtualMediaReason } from './virtual-media.ts';

/** Some disks have two names of this kind; they are in the order of the names, so that the first is the same every time. */
async function byPathNames({ files }: AgentOs): Promise<Map<string, string[]>> {
  const directory = '/dev/disk/by-path';
  const names = (await files.list(directory)).toSorted();
  const found = new Map<string, string[]>();
  const targets = await Promise.all(names.map((name) => files.resolve(`${directory}/${name}`)));
  for (const [index, target] of targets.entries())
    if (target !== undefined) found.set(target, [...(found.get(target) ?? []), `${directory}/${names[index]}`]);
  return found;
}

const filled = (values: readonly (string | null | undefined)[]): string[] => [
  ...new Set(values.flatMap((value) => (value?.trim() ? [value.trim()] : []))),
];

/** lsblk's columns of these, or sysfs where a recording or an old lsblk has none. */
async function numberOf(os: AgentOs, block: Block): Promise<string> {
  return block['maj:min']?.trim() ?? (await os.files.read(`/sys/class/block/${block.kname}/dev`))?.trim() ?? '';
}
async function isRemovable(os: AgentOs, block: Block): Promise<boolean> {
  return block.rm ?? (await os.files.read(`/sys/class/block/${block.kname}/removable`))?.trim() === '1';
}

/** udev's `ata_id` says these where the disk has the feature (systemd `src/udev/ata_id`). */
function ataSecurity(udev: UdevProperties): AtaSecurity | undefined {
  const has = (name: string) => udev.get(`ID_ATA_FEATURE_SET_SECURITY${name}`) === '1';
  if (!has('')) return undefined;
  return { isEnabled: has('_ENABLED'), isLocked: has('_LEVEL_LOCKED'), isFrozen: has('_FROZEN') };
}

/**
 * The name that an array was given: its members have it as their label, `HOST:NAME` or `NAME` (md superblock 1.x, `set_name`).
 */
function volumeNameOf(below: readonly Block[]): string | undefined {
  const label = below.find(({ fstype, label: text }) => fstype === 'linux_raid_member' && text)?.label;
  return label?.replace(/^.*:/s, '');
}

function kindOf(block: Block): DiskModel['kind'] {
  return block.type === 'mpath' ? 'multipath' : block.type === 'disk' ? 'disk' : 'array';
}

type Found = { block: Block; udev: UdevProperties; byPath: ReadonlyMap<string, string[]> };

/** The fields that Ironic is told (agent-protocol G.2), and the lists that hints are compared with. */
async function describe(os: AgentOs, { block, udev, byPath }: Found) {
  const sys = `/sys/class/block/${block.kname}/device`;
  const [vendor, scsi] = await Promise.all([os.files.read(`${sys}/vendor`), os.files.list(`${sys}/scsi_device`)]);
  const isMapped = block.kname.startsWith('dm-');
  const property = (name: string) => udev.get(isMapped ? name.replace('ID_', 'DM_') : name) ?? udev.get(name);
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
    wwn_with_extension: property('ID_WWN_WITH_EXTENSION') ?? null,
    wwn_vendor_extension: property('ID_WWN_VENDOR_EXTENSION') ?? null,
    hctl: block.hctl ?? scsi[0] ?? null,
    by_path: byPath.get(name)?.[0] ?? null,
    logical_sectors: block['log-sec'],
    physical_sectors: block['phy-sec'],
    tran: block.tran,
  };
  return { disk, serials, wwns };
}

type Record = Awaited<ReturnType<typeof describe>>;

/** Of a multipath device the kernel says neither model nor maker nor the disk's own serial number: its paths do. */
async function withPaths(os: AgentOs, record: Record, ways: readonly Block[]): Promise<Record> {
  const [first] = ways;
  if (first === undefined) return record;
  const { disk, serials, wwns } = record;
  const vendor = (await os.files.read(`/sys/class/block/${first.kname}/device/vendor`))?.trim();
  return {
    disk: {
      ...disk,
      model: disk.model ?? (first.model?.trim() || null),
      vendor: disk.vendor ?? (vendor || null),
      tran: disk.tran ?? first.tran,
      wwn_with_extension: disk.wwn_with_extension ?? first.wwn,
    },
    serials: filled([...serials, ...ways.map(({ serial }) => serial)]),
    wwns: filled([...wwns, ...ways.map(({ wwn }) => wwn)]),
  };
}

async function model(os: AgentOs, found: Found, paths: string[], blocks: readonly Block[]): Promise<DiskModel> {
  const { block, udev } = found;
  const { kname } = block;
  const family = eachOnce([kname, ...paths].flatMap((name) => withDescendants(blocks, name)));
  const below = withAncestors(blocks, kname).slice(1);
  const pathBlocks = paths.flatMap((name) => blocks.find((one) => one.kname === name) ?? []);
  const record = await withPaths(os, await describe(os, found), pathBlocks);
  // udev has it from mdadm, where the ramdisk has one.
  const volumeName = volumeNameOf(below) ?? udev.get('MD_NAME')?.replace(/^.*:/s, '');
  const ways = [kname, ...paths].map((name) => blocks.find((one) => one.kname === name));
  return {
    ...record,
    ...(volumeName !== undefined && { volumeName }),
    names: [kname, ...paths].map((name) => `/dev/${name}`),
    hctls: filled([record.disk.hctl, ...ways.map((way) => way?.hctl)]),
    byPaths: ways.flatMap((way) => found.byPath.get(`/dev/${way?.kname}`) ?? []),
    kname,
    kind: kindOf(block),
    paths: paths.length > 0 ? paths : [kname],
    family,
    below,
    isReadOnly: block.ro,
    isRemovable: await isRemovable(os, block),
    virtualMedia: virtualMediaReason(
      block,
      { vendor: record.disk.vendor, usbVendor: udev.get('ID_VENDOR_ID') },
      family,
    ),
    ataSecurity: ataSecurity(udev),
  };
}

/** `ata-2` before `ata-10`, and PCI's hexadecimal `04.0` before `1f.2`. */
function compare(a: string, b: string): number {
  const [left, right] = [a.split(/[-:./]/), b.split(/[-:./]/)];
  for (const [index, one] of left.entries()) {
    const other = right[index] ?? '';
    if (one === other) continue;
    const difference = /^\d+$/.test(one) && /^\d+$/.test(other) ? Number(one) - Number(other) : 0;
    return difference || (one < other ? -1 : 1);
  }
  return left.length - right.length;
}

/**
 * An order that is the same at every boot: by where a disk is plugged in, which names such as /dev/sda do not say; by name where the
 * machine does not tell.
 */
export function inStableOrder<T extends { disk: Disk }>(records: readonly T[]): T[] {
  const key = ({ disk }: T) => disk.by_path ?? disk.hctl ?? '';
  return records.toSorted(
    (a, b) =>
      Number(key(a) === '') - Number(key(b) === '') ||
      compare(key(a), key(b)) ||
      compare(a.disk.serial ?? '', b.disk.serial ?? '') ||
      compare(a.disk.name, b.disk.name),
  );
}

/** Why something with the size of a disk is none; nothing is said of partitions, volumes and empty drives. */
function whyNoDisk(block: Block, blocks: readonly Block[]): Omit<NotADisk, 'name'> | undefined {
  if (block.type === 'rom') return { kind: 'optical', why: 'an optical drive' };
  return isDisk(block) ? partOf(block, blocks) : undefined;
}

/** All disks, and what only looks like one, from what lsblk printed. */
export async function describeStorage(os: AgentOs, blocks: readonly Block[]): Promise<Storage> {
  const once = eachOnce(blocks);
  const others: NotADisk[] = once.flatMap((block) => {
    const why = whyNoDisk(block, blocks);
    return why === undefined ? [] : [{ name: `/dev/${block.kname}`, ...why }];
  });
  const byPath = await byPathNames(os);
  const candidates = once.filter((block) => isDisk(block) && partOf(block, blocks) === undefined);
  const found = await Promise.all(
    candidates.map(async (block) => {
      const udev = (await readUdevData(os, await numberOf(os, block))) ?? new Map<string, string>();
      const paths = blocks.filter(({ kname }) => kname === block.kname).flatMap(({ pkname }) => pkname ?? []);
      return model(os, { block, udev, byPath }, block.type === 'mpath' ? paths.toSorted() : [], blocks);
    }),
  );
  const { disks, doubles } = groupPaths(inStableOrder(found));
  return { disks, others: [...others, ...doubles], blocks: [...blocks] };
}

/** Has udev not looked at a disk yet, where there is a udev? */
async function isUnread(os: AgentOs, blocks: readonly Block[]): Promise<boolean> {
  if (!(await os.files.exists('/run/udev/control'))) return false;
  const read = await Promise.all(
    blocks.filter(isDisk).map(async (block) => os.files.exists(`/run/udev/data/b${await numberOf(os, block)}`)),
  );
  return read.includes(false);
}

/**
 * Looks at all disks of the machine. Starts lsblk once; udev's wait and a second lsblk only while udev is at work.
 * @throws AgentError `BlockDeviceError` when lsblk cannot be read
 */
export async function readStorage(os: AgentOs): Promise<Storage> {
  await settleUdev(os, { isBusy: false });
  const blocks = await readBlocks(os);
  if (!(await isUnread(os, blocks))) return describeStorage(os, blocks);
  await settleUdev(os, { isBusy: true });
  return describeStorage(os, await readBlocks(os));
}

/**
 * All disks of the machine, in an order that is the same at every boot.
 * @throws AgentError `BlockDeviceError` when lsblk cannot be read
 */
export async function listDisks(os: AgentOs): Promise<DiskModel[]> {
  return (await readStorage(os)).disks;
}
