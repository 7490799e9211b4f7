import type { BlockDevice } from '../os/door.ts';
import { readTable } from './tables.ts';

/** MBR, GPT header of either sector size, boot sectors of file systems without a partition table. */
const FIRST_BYTES = 8192;
/** Volume descriptors of ISO 9660 and UDF: sector 16 of 2048 bytes on (ECMA-119, 7.2.1; El Torito's is sector 17). */
const DESCRIPTORS = { position: 32 * 1024, length: 32 * 1024 };
const GPT_SIGNATURE = Buffer.from('EFI PART');

/** Sectors with a backup GPT header: the disk's last one, and where the GPT of an image for a smaller disk says that it is. */
async function backupSectors(device: BlockDevice): Promise<number[]> {
  const { sectorBytes, sizeBytes } = device;
  const last = Math.floor(sizeBytes / sectorBytes) - 1;
  const table = await readTable(device);
  const told = table.kind === 'gpt' ? table.backupSector : last;
  // A header that says nonsense is followed nowhere.
  const candidates = [...new Set([told, last])].filter((sector) => sector > 1 && sector <= last);
  const found: number[] = [];
  for (const sector of candidates) {
    const head = Buffer.alloc(GPT_SIGNATURE.length);
    await device.read(head, sector * sectorBytes);
    if (head.equals(GPT_SIGNATURE)) found.push(sector);
  }
  return found;
}

/**
 * Takes away everything by which firmware finds something to boot, and nothing else: only then may any of the old system's data be
 * destroyed. Until the last of these sectors is gone the old system is whole; afterwards nothing boots. So a machine that dies in between
 * never starts half of it.
 *
 * The order: first the backup GPT, which firmware takes when the primary one is damaged, and which some of them then restore from it
 * (UEFI 2.10, 5.3.2). Then the first sector: without a protective MBR neither EDK2, U-Boot, GRUB nor Linux looks for a GPT at all. Then
 * the primary header, and the descriptors by which a disk that begins like a CD is started. Each step is flushed.
 */
export async function closeWaysIn(device: BlockDevice): Promise<void> {
  const { sectorBytes, sizeBytes } = device;
  for (const sector of await backupSectors(device)) await device.zero(sector * sectorBytes, sectorBytes);
  await device.flush();
  const wholeBytes = sizeBytes - (sizeBytes % sectorBytes);
  for (const { position, length } of [
    { position: 0, length: sectorBytes },
    { position: sectorBytes, length: FIRST_BYTES - sectorBytes },
    DESCRIPTORS,
  ]) {
    const there = Math.min(length, wholeBytes - position);
    if (there <= 0) continue;
    await device.zero(position, there);
    await device.flush();
  }
}
