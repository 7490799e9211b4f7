import { randomUUID } from 'node:crypto';

import { AgentError } from '../api/errors.ts';
import { type BootPlace, findEsp, makeEntries } from '../disk/boot-entries.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { knameOf, listPartitions, withDevice } from '../disk/partitions.ts';
import type { Block } from '../hardware/lsblk.ts';
import { listBlocks } from '../hardware/lsblk.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import { listArrays, type MdArray } from './arrays.ts';
import { ESP_ARRAY } from './config.ts';
import { makeArray } from './create.ts';

const MIB = 1024 ** 2;
/** What delete_configuration and create_configuration leave free before the arrays (plan.ts). */
const ESP_START_BYTES = MIB;
const ESP_BYTES = 550 * MIB;
const GPT_ESP = 'ef00';

type Log = (message: string) => void;

/** Is this the first sector of a FAT file system? (Microsoft's FAT specification: BS_FilSysType, at 54 or 82) */
function isFat(sector: Buffer): boolean {
  const named = [sector.subarray(54, 57), sector.subarray(82, 85)].some((one) => one.toString('latin1') === 'FAT');
  return named && sector.readUInt16BE(510) === 0x55_aa;
}

/** Bytes of a FAT file system by its own first sector: BPB_BytsPerSec at 11, BPB_TotSec16 at 19, BPB_TotSec32 at 32. */
function fatBytes(sector: Buffer): number {
  return sector.readUInt16LE(11) * (sector.readUInt16LE(19) || sector.readUInt32LE(32));
}

async function firstSector(os: AgentOs, path: string): Promise<Buffer> {
  const sector = Buffer.alloc(512);
  await withDevice(os, path, 'read', async (device) => {
    const bytes = Buffer.alloc(device.sectorBytes);
    await device.read(bytes, 0);
    bytes.copy(sector);
  });
  return sector;
}

/** A partition for the boot loader in the room before the arrays; one that is there already, from an earlier deployment, will do. */
async function espOf(os: AgentOs, disk: string, index: number): Promise<Block> {
  const existing = findEsp(await listPartitions(os, disk), undefined);
  if (existing) return existing;
  const sectorBytes = await withDevice(os, disk, 'read', async (device) => device.sectorBytes);
  const start = ESP_START_BYTES / sectorBytes;
  const uuid = randomUUID();
  await os.run('sgdisk', [
    '--set-alignment=1',
    `--new=0:${start}:${start + ESP_BYTES / sectorBytes - 1}`,
    `--typecode=0:${GPT_ESP}`,
    `--change-name=0:uefi-holder-${index}`,
    `--partition-guid=0:${uuid}`,
    disk,
  ]);
  // The disk is in use, so its table cannot be read anew as a whole.
  await os.run('partx', ['--update', disk]);
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  const made = (await listPartitions(os, disk)).find(({ partuuid }) => partuuid?.toLowerCase() === uuid);
  if (made) return made;
  throw new AgentError(
    'SoftwareRAIDError',
    `cannot make an EFI system partition on ${disk}: the kernel does not show it`,
  );
}

/** The mirror that is there, or a new one. Its metadata is at the end, so that firmware takes each member for a plain partition. */
async function espMirror(os: AgentOs, root: MdArray, arrays: readonly MdArray[], log: Log): Promise<MdArray> {
  const existing = arrays.find(
    ({ name, disks }) => name === ESP_ARRAY && root.disks.every((disk) => disks.includes(disk)),
  );
  if (existing) {
    log(`the mirror of the EFI system partitions is there already: ${existing.device}`);
    return existing;
  }
  const members: string[] = [];
  for (const [index, disk] of root.disks.entries()) {
    const { kname } = await espOf(os, disk, index);
    await withDevice(os, `/dev/${kname}`, 'write', (device) => wipeMetadata(os, device));
    members.push(`/dev/${kname}`);
  }
  const taken = new Set(arrays.map(({ device }) => device));
  const device = Array.from({ length: 128 }, (_, index) => `/dev/md${index}`).find((one) => !taken.has(one));
  if (device === undefined)
    throw new AgentError('SoftwareRAIDError', 'cannot mirror the EFI system partitions: no md device is free');
  await makeArray(os, { device, name: ESP_ARRAY, level: '1', members, metadata: '1.0' }, log);
  log(`${device} mirrors the EFI system partitions ${members.join(' ')}`);
  return { device, name: ESP_ARRAY, members, disks: root.disks };
}

async function copy(from: BlockDevice, to: BlockDevice, bytes: number): Promise<void> {
  const buffer = Buffer.alloc(MIB);
  for (let at = 0; at < bytes; at += MIB) {
    const piece = buffer.subarray(0, Math.min(MIB, bytes - at));
    await from.read(piece, at);
    await to.write(piece, at);
  }
  await to.flush();
}

/**
 * Moves the image's EFI system partition onto the mirror, byte by byte: its UUID and label stay, and so does what the image's own
 * fstab says of it. In the image nothing is left of it, or one would be taken for the other.
 */
async function moveEsp(os: AgentOs, image: string, mirror: string, log: Log): Promise<void> {
  const boot = await firstSector(os, image);
  if (!isFat(boot)) {
    if (isFat(await firstSector(os, mirror))) return; // moved before
    throw new AgentError(
      'InvalidImage',
      `cannot make the image bootable: its EFI system partition ${image} has no FAT file system`,
    );
  }
  await withDevice(os, image, 'read', (from) =>
    withDevice(os, mirror, 'write', async (to) => {
      const bytes = Math.min(from.sizeBytes, Math.ceil(fatBytes(boot) / from.sectorBytes) * from.sectorBytes);
      if (bytes > to.sizeBytes)
        throw new AgentError(
          'InvalidImage',
          `cannot mirror the EFI system partition of the image: it has ${Math.ceil(bytes / MIB)} MiB, ${mirror} has ${Math.floor(to.sizeBytes / MIB)} MiB`,
        );
      await copy(from, to, bytes);
    }),
  );
  await withDevice(os, image, 'write', (device) => wipeMetadata(os, device));
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  log(`the EFI system partition of the image is on ${mirror} now`);
}

/** Where firmware finds the boot loader on each disk. */
async function places(os: AgentOs, mirror: MdArray): Promise<BootPlace[]> {
  const found: BootPlace[] = [];
  const blocks = await listBlocks(os);
  for (const [index, member] of mirror.members.entries()) {
    const kname = knameOf(member);
    const disk = blocks.find((block) => block.kname === kname)?.pkname;
    const number = (await os.files.read(`/sys/class/block/${kname}/partition`))?.trim();
    if (disk && number) found.push({ disk: `/dev/${disk}`, number, suffix: ` (RAID, part${index})` });
  }
  return found;
}

/**
 * Makes what was deployed to an array start from each of the array's disks: EFI system partitions that mirror the image's, and a boot
 * entry for each (agent-protocol I.8).
 * @param root the array
 * @returns undefined when it is no array; the entries otherwise
 * @throws AgentError `InvalidImage`, `DeviceNotFound` or `SoftwareRAIDError`
 */
export async function makeRaidBootable(
  os: AgentOs,
  root: string,
  bootMode: 'uefi' | 'bios',
  log: Log,
): Promise<{ label: string; path: string }[] | undefined> {
  const arrays = await listArrays(os, await listBlocks(os));
  const array = arrays.find(({ device }) => device === root);
  if (array === undefined) return undefined;
  if (bootMode === 'bios')
    throw new AgentError(
      'InvalidImage',
      `cannot make ${root} bootable: BIOS reads no software RAID, and installing a boot loader (GRUB) on its disks is not supported; start the machine by UEFI`,
    );
  const partitions = await listPartitions(os, root);
  const esp = findEsp(partitions, undefined);
  if (!esp)
    throw new AgentError(
      'DeviceNotFound',
      `No EFI partition could be detected on ${root}; cannot make its disks bootable. Its partitions: ${partitions.map(({ kname }) => kname).join(', ') || 'none'}`,
    );
  const mirror = await espMirror(os, array, arrays, log);
  await moveEsp(os, `/dev/${esp.kname}`, mirror.device, log);
  return makeEntries(os, mirror.device, await places(os, mirror));
}
