import { AgentError } from '../api/errors.ts';
import type { SectorRange } from './layout.ts';

export const MBR_SIGNATURE_AT = 440;
const BOOT_SIGNATURE_AT = 510;
const ENTRIES_AT = 446;
const ENTRY_BYTES = 16;

/** The four entries of an MBR, as views. */
export function mbrEntries(sector: Buffer): Buffer[] {
  return [0, 1, 2, 3].map((index) =>
    sector.subarray(ENTRIES_AT + index * ENTRY_BYTES, ENTRIES_AT + (index + 1) * ENTRY_BYTES),
  );
}

/** Is it a sector that says of itself that it is an MBR, or a boot sector? */
export function hasBootSignature(sector: Buffer): boolean {
  return sector.readUInt16BE(BOOT_SIGNATURE_AT) === 0x55_aa;
}

/** The kernel's name of a partition in an MBR: the disk's signature and the number (block/partitions/msdos.c). */
export function mbrPartuuid(signature: number, number: number): string {
  return `${signature.toString(16).padStart(8, '0')}-${number.toString(16).padStart(2, '0')}`;
}

/** Fills an entry of an MBR. */
function fillMbrEntry(entry: Buffer, type: number, range: SectorRange, isActive: boolean): void {
  entry.fill(0);
  // Cylinders, heads and sectors past what they can name (the field's convention): fe ff ff.
  entry.set([isActive ? 0x80 : 0, 0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff]);
  entry.writeUInt32LE(range.start, 8);
  entry.writeUInt32LE(range.count, 12);
}

/**
 * Adds a primary partition to an MBR.
 * @param sector the MBR, 512 bytes; changed in place
 * @throws AgentError `DeploymentError` when there is no free entry
 */
export function addMbrPartition(sector: Buffer, type: number, range: SectorRange): void {
  const free = mbrEntries(sector).find((entry) => entry.readUInt8(4) === 0);
  if (!free) throw new AgentError('DeploymentError', 'cannot add a config drive: the MBR has four partitions already');
  fillMbrEntry(free, type, range, false);
}

/** A new MBR. @param signature of the disk, which names its partitions; not 0 */
export function makeMbr(
  signature: number,
  entries: readonly { type: number; range: SectorRange; isActive: boolean }[],
): Buffer {
  const sector = Buffer.alloc(512);
  sector.writeUInt32LE(signature, MBR_SIGNATURE_AT);
  sector.writeUInt16BE(0x55_aa, BOOT_SIGNATURE_AT);
  const slots = mbrEntries(sector);
  for (const [index, { type, range, isActive }] of entries.entries()) {
    const slot = slots[index];
    if (!slot) throw new RangeError('an MBR has four entries');
    fillMbrEntry(slot, type, range, isActive);
  }
  return sector;
}

/** Is one of its partitions marked as the one to start? */
export function isActive(sector: Buffer): boolean {
  return mbrEntries(sector).some((entry) => entry.readUInt8(0) === 0x80 && entry.readUInt8(4) !== 0);
}
