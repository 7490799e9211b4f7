import { AgentError } from '../api/errors.ts';
import type { AgentOs, BlockDevice } from '../os/door.ts';
import type { TableEntry } from './layout.ts';
import { hasBootSignature, mbrEntries, MBR_SIGNATURE_AT, mbrPartuuid } from './mbr.ts';
import { withDevice } from './partitions.ts';

const GPT_SIGNATURE = Buffer.from('EFI PART');
const TYPE_PROTECTIVE = 0xee;
/** Most bytes of GPT entries that are read: 1024 partitions, when the usual number is 128. */
const MOST_ENTRIES_BYTES = 1024 * 128;

/**
 * What kind of partition table a disk has. `backupSector` is where the GPT says that its copy is, `lastUsableSector` the last one that it
 * gives to partitions, `lastSector` the disk's.
 */
export type DiskTable =
  | { kind: 'gpt'; backupSector: number; lastUsableSector: number; lastSector: number; entriesAt: EntriesPlace }
  | { kind: 'mbr'; sector: Buffer }
  | { kind: 'none' };
type EntriesPlace = { sector: number; count: number; entryBytes: number };

/**
 * Reads the partition table of an open disk. A GPT does not count where the MBR has partitions of its own and announces none: so the
 * kernel has it, too (block/partitions/efi.c).
 */
export async function readTable(device: BlockDevice): Promise<DiskTable> {
  const { sectorBytes, sizeBytes } = device;
  const bytes = Buffer.alloc(2 * sectorBytes);
  if (sizeBytes < bytes.length) return { kind: 'none' };
  await device.read(bytes, 0);
  const [sector, header] = [bytes.subarray(0, 512), bytes.subarray(sectorBytes)];
  const types = hasBootSignature(sector) ? mbrEntries(sector).map((entry) => entry.readUInt8(4)) : [];
  const isOwn = types.some((type) => type !== 0) && !types.includes(TYPE_PROTECTIVE);
  if (isOwn || !header.subarray(0, 8).equals(GPT_SIGNATURE))
    return hasBootSignature(sector) ? { kind: 'mbr', sector } : { kind: 'none' };
  // UEFI 2.10, 5.3.2: AlternateLBA at 32, LastUsableLBA at 48, PartitionEntryLBA at 72, their number and size at 80 and 84.
  return {
    kind: 'gpt',
    backupSector: Number(header.readBigUInt64LE(32)),
    lastUsableSector: Number(header.readBigUInt64LE(48)),
    lastSector: Math.floor(sizeBytes / sectorBytes) - 1,
    entriesAt: {
      sector: Number(header.readBigUInt64LE(72)),
      count: header.readUInt32LE(80),
      entryBytes: header.readUInt32LE(84),
    },
  };
}

/** GUIDs of UEFI have their first three groups in little-endian order. */
function readGuid(bytes: Buffer): string {
  const [first, second, third] = [bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt16LE(6)];
  const hex = (number: number, digits: number) => number.toString(16).padStart(digits, '0');
  return [
    hex(first, 8),
    hex(second, 4),
    hex(third, 4),
    bytes.toString('hex', 8, 10),
    bytes.toString('hex', 10, 16),
  ].join('-');
}

async function readGptEntries(device: BlockDevice, place: EntriesPlace): Promise<TableEntry[]> {
  const { sector, count, entryBytes } = place;
  const position = sector * device.sectorBytes;
  const isSane = entryBytes >= 128 && entryBytes % 8 === 0 && count * entryBytes <= MOST_ENTRIES_BYTES;
  if (!isSane || position + count * entryBytes > device.sizeBytes)
    throw new AgentError('DeploymentError', `cannot read the GPT of ${device.path}: its header has impossible numbers`);
  const bytes = Buffer.alloc(count * entryBytes);
  await device.read(bytes, position);
  return Array.from({ length: count }, (_, index) => bytes.subarray(index * entryBytes)).flatMap((entry, index) => {
    if (entry.subarray(0, 16).every((byte) => byte === 0)) return [];
    const [start, last] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
    const partuuid = readGuid(entry.subarray(16, 32));
    return [{ number: index + 1, startSector: start, sectors: last - start + 1, partuuid }];
  });
}

/**
 * The partitions that a disk's table names, by number; of an MBR the primary ones, which an extended partition is one of.
 * @throws AgentError `DeploymentError` for a GPT that cannot be read
 */
export async function readEntries(device: BlockDevice, table: DiskTable): Promise<TableEntry[]> {
  if (table.kind === 'none') return [];
  if (table.kind === 'gpt') return readGptEntries(device, table.entriesAt);
  const signature = table.sector.readUInt32LE(MBR_SIGNATURE_AT);
  return mbrEntries(table.sector).flatMap((entry, index) => {
    if (entry.readUInt8(4) === 0) return [];
    const [startSector, sectors] = [entry.readUInt32LE(8), entry.readUInt32LE(12)];
    return [{ number: index + 1, startSector, sectors, partuuid: mbrPartuuid(signature, index + 1) }];
  });
}

/** The disk signature of an MBR as Ironic wants it: the "root uuid" of a whole-disk image. Disks with a GPT often have none. */
export async function diskSignature(os: AgentOs, path: string): Promise<string> {
  const sector = Buffer.alloc(512);
  await withDevice(os, path, 'read', (device) => device.read(sector, 0));
  return `0x${sector.readUInt32LE(MBR_SIGNATURE_AT).toString(16).padStart(8, '0')}`;
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
