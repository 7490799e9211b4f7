import { createHash, type Hash } from 'node:crypto';

import { leaveBehind } from '../../system/collect.ts';
import { BOOT_BYTES } from './boot-sectors.ts';
import type { ImageContents } from './contents.ts';
import { Gaps } from './gaps.ts';
import { checkOverlaps, type Placement, PLACEMENT_KINDS, Placements } from './placements.ts';
import { type L2Context, readL2 } from './qcow2-entries.ts';
import { guestBytesOfTable, isInFile, type Qcow2Header, refuseImage } from './qcow2-header.ts';
import type { SourceRange } from './source.ts';

/** How a qcow2 file is to be written: what every range of the file is, and what its tables looked like. */
export type Qcow2Map = {
  header: Qcow2Header;
  placements: Placements;
  /** What no cluster covers, and what is flagged as zeros. */
  gaps: Gaps;
  /** Where the guest's first `BOOT_BYTES` are, in no order. */
  boot: readonly Placement[];
  /** Digests of header, L1 and L2 tables (in file order), to be compared with the bytes of the one pass whose hash is verified. */
  tableDigests: TableDigests;
};
export type TableDigests = { header: string; l1: string; l2: string };

const RESERVED_L1 = 0x7f_00_00_00;
/** Most memory for placements and gaps: some 20 million compressed clusters, that is, more than a TiB of 64 KiB each. */
const MOST_PACKED_BYTES = 80 * 1024 ** 2;
/** Each costs an object or two while it is waited for. 128 TiB in clusters of 64 KiB, 512 GiB in clusters of 4 KiB. */
const MOST_L2_TABLES = 256 * 1024;

export function createTableHashes(): Record<keyof TableDigests, Hash> {
  return { header: createHash('sha256'), l1: createHash('sha256'), l2: createHash('sha256') };
}

type L2Table = { position: number; guest: number };

/** The L2 tables that exist, in file order; for the others there is a gap. */
function readL1(table: Buffer, header: Qcow2Header, fileBytes: number | undefined, gaps: Gaps): L2Table[] {
  const { clusterBytes, sizeBytes } = header;
  const bytesEach = guestBytesOfTable(header);
  const tables: L2Table[] = [];
  for (let at = 0, guest = 0; at < table.length; at += 8, guest += bytesEach) {
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    if ((high & RESERVED_L1) !== 0 || (low & 0x1_ff) !== 0)
      throw refuseImage(`entry ${at / 8} of its L1 table makes no sense`);
    const position = (high & 0x00_ff_ff_ff) * 2 ** 32 + low;
    if (position === 0) {
      gaps.add(guest, Math.min(bytesEach, sizeBytes - guest));
      continue;
    }
    if (position % clusterBytes !== 0)
      throw refuseImage(`its L2 table ${at / 8} is at byte ${position}, which is no cluster's start`);
    if (!isInFile(position, clusterBytes, fileBytes))
      throw refuseImage(`its L2 table ${at / 8} is out of bounds (truncated file?)`);
    if (tables.length === MOST_L2_TABLES) throw refuseImage(`it has more than ${MOST_L2_TABLES} L2 tables`, 'clusters');
    tables.push({ position, guest });
  }
  tables.sort((a, b) => a.position - b.position);
  for (let i = 1; i < tables.length; i++)
    if (tables[i]?.position === tables[i - 1]?.position)
      throw refuseImage('two entries of its L1 table share an L2 table');
  return tables;
}

async function readOne(contents: ImageContents, range: SourceRange, signal: AbortSignal): Promise<Buffer> {
  for await (const bytes of contents.read([range], signal))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  throw refuseImage('its L1 table is out of bounds (truncated file?)');
}

function checkMemory({ placements, gaps }: L2Context): void {
  if (placements.packedBytes + gaps.packedBytes > MOST_PACKED_BYTES)
    throw refuseImage('it is in too many pieces for the memory that an image may take', 'clusters');
}

/**
 * Reads the L1 and L2 tables of a qcow2 file, and nothing of its data.
 * @throws AgentError `InvalidImage` for everything that is damaged, hostile or not supported
 */
export async function readQcow2Map(
  contents: ImageContents,
  header: Qcow2Header,
  signal: AbortSignal,
): Promise<Qcow2Map> {
  const { clusterBytes, sizeBytes, headerBytes, refcounts } = header;
  const { sizeBytes: fileBytes } = contents;
  const placements = new Placements(clusterBytes);
  const context: L2Context = { header, fileBytes, placements, gaps: new Gaps(), boot: [], bootBytes: BOOT_BYTES };
  const hashes = createTableHashes();
  placements.add(PLACEMENT_KINDS.header, 0, headerBytes, 0);
  hashes.header.update(contents.head.subarray(0, headerBytes));
  if (refcounts.length > 0) placements.add(PLACEMENT_KINDS.refcounts, refcounts.position, refcounts.length, 0);
  const l1Range = { position: header.l1Position, length: Math.ceil(sizeBytes / guestBytesOfTable(header)) * 8 };
  placements.add(PLACEMENT_KINDS.l1, l1Range.position, l1Range.length, 0);
  const l1 = await readOne(contents, l1Range, signal);
  hashes.l1.update(l1);
  const tables = readL1(l1, header, fileBytes, context.gaps);
  const ranges = tables.map(({ position }) => ({ position, length: clusterBytes }));
  let index = 0;
  for await (const bytes of contents.read(ranges, signal)) {
    hashes.l2.update(bytes);
    const table = tables[index++];
    if (!table) break;
    placements.add(PLACEMENT_KINDS.l2, table.position, clusterBytes, 0);
    readL2(context, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), table.guest);
    checkMemory(context);
    // The table's buffer, and what sorting and packing its entries took.
    leaveBehind(2 * bytes.length);
  }
  if (index < tables.length) throw refuseImage('its L2 tables are out of bounds (truncated file?)');
  placements.seal();
  checkOverlaps(placements);
  const tableDigests = {
    header: hashes.header.digest('hex'),
    l1: hashes.l1.digest('hex'),
    l2: hashes.l2.digest('hex'),
  };
  return { header, placements, gaps: context.gaps, boot: context.boot, tableDigests };
}
