export const SECTOR_BYTES = 512;
const MIB = 2 ** 20;

export type Partition = { firstSector: number; lastSector: number; bytes: number };

/**
 * Where the two partitions of a disk lie: 1 MiB for the partition table, the ESP, and the root file system up to the last
 * whole MiB, so that the backup table has its room.
 */
export function diskLayout(sizeMiB: number, espMiB: number): { esp: Partition; root: Partition } {
  const partition = (startMiB: number, lengthMiB: number): Partition => ({
    firstSector: (startMiB * MIB) / SECTOR_BYTES,
    lastSector: ((startMiB + lengthMiB) * MIB) / SECTOR_BYTES - 1,
    bytes: lengthMiB * MIB,
  });
  return { esp: partition(1, espMiB), root: partition(1 + espMiB, sizeMiB - espMiB - 2) };
}
