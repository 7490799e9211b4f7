import { AgentError } from '../api/errors.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import { withDevice } from './partitions.ts';

const GPT_SIGNATURE = Buffer.from('EFI PART');
const BOOT_SIGNATURE_AT = 510;
const ENTRIES_AT = 446;
const ENTRY_BYTES = 16;
/** "FAT32 with LBA", which is what partitioning programs write for a config drive. */
const TYPE_FAT32_LBA = 0x0c;

/** What kind of partition table a disk has. `backupSector` is where the GPT says that its copy is. */
export type DiskTable =
  | { kind: 'gpt'; backupSector: number; lastSector: number }
  | { kind: 'mbr'; sector: Buffer }
  | { kind: 'none' };

/** Reads the partition table of an open disk. */
export async function readTable(device: BlockDevice): Promise<DiskTable> {
  const { sectorBytes, sizeBytes } = device;
  const bytes = Buffer.alloc(2 * sectorBytes);
  await device.read(bytes, 0);
  const header = bytes.subarray(sectorBytes);
  // UEFI 2.10, 5.3.2: AlternateLBA at 32.
  if (header.subarray(0, 8).equals(GPT_SIGNATURE))
    return { kind: 'gpt', backupSector: Number(header.readBigUInt64LE(32)), lastSector: sizeBytes / sectorBytes - 1 };
  const sector = bytes.subarray(0, 512);
  return sector.readUInt16BE(BOOT_SIGNATURE_AT) === 0x55_aa ? { kind: 'mbr', sector } : { kind: 'none' };
}

/** The disk signature of an MBR as Ironic wants it: the "root uuid" of a whole-disk image. Disks with a GPT often have none. */
export async function diskSignature(os: AgentOs, path: string): Promise<string> {
  const sector = Buffer.alloc(512);
  await withDevice(os, path, 'read', (device) => device.read(sector, 0));
  return `0x${sector.readUInt32LE(440).toString(16).padStart(8, '0')}`;
}

/**
 * Moves the backup GPT, which an image for a smaller disk has inside the disk, to the disk's end.
 * @returns whether it had to be moved
 * @throws Failure or AgentError when sgdisk cannot
 */
export async function moveBackupGpt(os: AgentOs, path: string): Promise<boolean> {
  const table = await withDevice(os, path, 'read', (device) => readTable(device));
  if (table.kind !== 'gpt' || table.backupSector === table.lastSector) return false;
  await os.run('sgdisk', ['-e', path]);
  const after = await withDevice(os, path, 'read', (device) => readTable(device));
  if (after.kind !== 'gpt' || after.backupSector !== after.lastSector)
    throw new AgentError('DeploymentError', `cannot move the backup GPT of ${path} to the end of the disk`);
  return true;
}

/** A range of sectors. */
export type SectorRange = { start: number; count: number };

/**
 * Adds a primary partition at the end of what an MBR can reach.
 * @param sector the MBR, 512 bytes; changed in place
 * @param wanted sectors
 * @returns where the partition is
 * @throws AgentError `DeploymentError` when there is no free entry or no room
 */
export function addMbrPartition(sector: Buffer, wanted: number, diskSectors: number): SectorRange {
  const entries = [0, 1, 2, 3].map((index) =>
    sector.subarray(ENTRIES_AT + index * ENTRY_BYTES, ENTRIES_AT + (index + 1) * ENTRY_BYTES),
  );
  const used = entries.filter((entry) => entry.readUInt8(4) !== 0);
  const free = entries.find((entry) => entry.readUInt8(4) === 0);
  if (!free || used.length > 3)
    throw new AgentError('DeploymentError', 'cannot add a config drive: the MBR has four partitions already');
  const reach = Math.min(diskSectors, 2 ** 32 - 1);
  // On whole MiB, as everybody aligns (2048 sectors of 512 bytes).
  const start = Math.floor((reach - wanted) / 2048) * 2048;
  const occupied = Math.max(2048, ...used.map((entry) => entry.readUInt32LE(8) + entry.readUInt32LE(12)));
  if (start < occupied)
    throw new AgentError(
      'DeploymentError',
      'cannot add a config drive: the image leaves no room at the end of the disk',
    );
  free.fill(0);
  // Cylinders, heads and sectors past what they can name (the field's convention): fe ff ff.
  free.set([0, 0xfe, 0xff, 0xff, TYPE_FAT32_LBA, 0xfe, 0xff, 0xff]);
  free.writeUInt32LE(start, 8);
  free.writeUInt32LE(wanted, 12);
  return { start, count: wanted };
}
