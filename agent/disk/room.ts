import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { GPT_ENTRIES_BYTES, MBR_SECTORS, type SectorRange, type TableEntry } from './layout.ts';
import type { DiskTable } from './tables.ts';

const MIB = 1024 ** 2;

/**
 * The room behind the last partition of a disk, for one more: at its very end, or directly behind the last partition when there is less
 * room than wanted. It begins on a whole MiB.
 * @param wantedBytes how large it is to be, `leastBytes` how large it must be
 * @throws AgentError `DeploymentError` when there is not even the least
 */
export function findRoomAtEnd(
  disk: Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'>,
  table: DiskTable,
  entries: readonly TableEntry[],
  { wantedBytes, leastBytes }: { wantedBytes: number; leastBytes: number },
): SectorRange {
  const align = MIB / disk.sectorBytes;
  const diskEnd = Math.floor(disk.sizeBytes / disk.sectorBytes);
  const end =
    table.kind === 'gpt'
      ? Math.min(table.lastUsableSector + 1, diskEnd - 1 - GPT_ENTRIES_BYTES / disk.sectorBytes)
      : Math.min(diskEnd, MBR_SECTORS);
  const occupied = Math.max(align, ...entries.map(({ startSector, sectors }) => startSector + sectors));
  const first = Math.ceil(occupied / align) * align;
  const [wanted, least] = [wantedBytes, leastBytes].map((bytes) => Math.ceil(bytes / disk.sectorBytes));
  const start = Math.max(first, Math.floor((end - (wanted ?? 0)) / align) * align);
  if (end - start < (least ?? 0)) {
    const room = Math.max(0, Math.floor(((end - first) * disk.sectorBytes) / MIB));
    const past = occupied > end ? ' that an MBR can name' : '';
    throw new AgentError(
      'DeploymentError',
      `cannot place the config drive: ${Math.ceil(leastBytes / MIB)} MiB are needed at the end of ${disk.path}, and the image leaves ${room} MiB${past}; use a smaller image, or one with an empty partition labelled config-2`,
    );
  }
  return { start, count: Math.min(wanted ?? 0, end - start) };
}
