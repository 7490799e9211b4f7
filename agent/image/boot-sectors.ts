import { AgentError } from '../api/errors.ts';

/** So many of an image's first bytes are looked at before anything is written: sector 1 of either size is in them. */
export const BOOT_BYTES = 8192;

const GPT_SIGNATURE = Buffer.from('EFI PART');

type PartitionEntry = { flag: number; type: number };

function mbrEntries(sector: Buffer): PartitionEntry[] {
  return [0, 1, 2, 3]
    .map((index) => 446 + index * 16)
    .map((at) => ({ flag: sector.readUInt8(at), type: sector.readUInt8(at + 4) }))
    .filter(({ type }) => type !== 0);
}

function gptSectorBytes(bytes: Buffer): number | undefined {
  return [512, 4096].find((size) => bytes.subarray(size, size + 8).equals(GPT_SIGNATURE));
}

/**
 * Refuses whole-disk images that cannot give a disk with partitions: error pages, file systems without a table, GPTs for
 * another sector size.
 * @param bytes the first `BOOT_BYTES` of what would be on the disk
 * @param sectorBytes of the disk
 * @throws AgentError `InvalidImage`
 */
export function checkBootSectors(bytes: Buffer, sectorBytes: number): void {
  const refuse = (why: string) => new AgentError('InvalidImage', `cannot write the image: ${why}`);
  if (bytes.length < 512 || bytes.readUInt16BE(510) !== 0x55_aa)
    throw refuse('it has no partition table; a whole-disk image is needed');
  const entries = mbrEntries(bytes);
  // Where a boot sector of a file system has code, an MBR has flags that are 0x00 or 0x80.
  if (entries.length === 0 || entries.some(({ flag }) => flag !== 0 && flag !== 0x80))
    throw refuse('its first sector is no partition table (a bare file system?); a whole-disk image is needed');
  const isProtective = entries.some(({ type }) => type === 0xee);
  const imageSector = gptSectorBytes(bytes);
  if (isProtective && imageSector === undefined) throw refuse('its first sector announces a GPT, and there is none');
  if (imageSector !== undefined && isProtective && imageSector !== sectorBytes)
    throw refuse(
      `its GPT is made for sectors of ${imageSector} bytes, and the disk has sectors of ${sectorBytes} bytes`,
    );
}
