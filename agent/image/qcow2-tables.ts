import { createHash, type Hash } from 'node:crypto';

import { checkOverlaps, PLACEMENT_KINDS, Placements } from './placements.ts';
import { type Qcow2Header, readQcow2Header, refuseImage } from './qcow2-header.ts';
import type { ImageContents } from './contents.ts';
import type { SourceRange } from './source.ts';

/** How a qcow2 file is to be written: every range of the file in file order, and what its tables looked like. */
export type Qcow2Map = {
  header: Qcow2Header;
  placements: Placements;
  order: Uint32Array;
  /** Digests of header, L1 and L2 tables (in file order), to be compared with the bytes of the one pass whose hash is verified. */
  tableDigests: TableDigests;
};
export type TableDigests = { header: string; l1: string; l2: string };

const RESERVED_L1 = 0x7f_00_00_00;
const RESERVED_L2 = 0x3f_00_00_00;
/** "Reads as zeros", version 3 only. */
const ZERO_FLAG = 1;

export function createTableHashes(): Record<keyof TableDigests, Hash> {
  return { header: createHash('sha256'), l1: createHash('sha256'), l2: createHash('sha256') };
}

type L2Table = { position: number; guest: number };

/** The L2 tables that exist, in file order. */
function readL1(table: Buffer, header: Qcow2Header, fileBytes: number | undefined): L2Table[] {
  const { clusterBytes, sizeBytes } = header;
  const guestBytes = clusterBytes * (clusterBytes / 8);
  const tables: L2Table[] = [];
  for (let index = 0; index < header.l1Entries && index * guestBytes < sizeBytes; index++) {
    const high = table.readUInt32BE(index * 8);
    const low = table.readUInt32BE(index * 8 + 4);
    if ((high & RESERVED_L1) !== 0 || (low & 0x1_ff) !== 0)
      throw refuseImage(`entry ${index} of its L1 table makes no sense`);
    const position = (high & 0x00_ff_ff_ff) * 2 ** 32 + low;
    if (position === 0) continue;
    if (position % clusterBytes !== 0)
      throw refuseImage(`its L2 table ${index} is at byte ${position}, which is no cluster's start`);
    if (!Number.isSafeInteger(position) || (fileBytes !== undefined && position + clusterBytes > fileBytes))
      throw refuseImage(`its L2 table ${index} is out of bounds (truncated file?)`);
    tables.push({ position, guest: index * guestBytes });
  }
  tables.sort((a, b) => a.position - b.position);
  for (let i = 1; i < tables.length; i++)
    if (tables[i]?.position === tables[i - 1]?.position)
      throw refuseImage('two entries of its L1 table share an L2 table');
  return tables;
}

type L2Context = { header: Qcow2Header; fileBytes: number | undefined; placements: Placements };

function addCompressed(context: L2Context, high: number, low: number, guest: number): void {
  const { header, fileBytes, placements } = context;
  // qcow2.txt, "Compressed Clusters Descriptor": bits 0 to x-1 are the position, x to 61 further sectors of 512 bytes.
  const positionBits = 62 - (Math.log2(header.clusterBytes) - 8);
  const host = (high & (2 ** (positionBits - 32) - 1)) * 2 ** 32 + low;
  const moreSectors = (high & 0x3f_ff_ff_ff) >>> (positionBits - 32);
  const length = (moreSectors + 1) * 512 - (host % 512);
  if (!Number.isSafeInteger(host) || (fileBytes !== undefined && host >= fileBytes))
    throw refuseImage('a compressed cluster is out of bounds (truncated file?)');
  // The last sector of the file need not be whole.
  placements.add(PLACEMENT_KINDS.compressed, host, Math.min(length, (fileBytes ?? Infinity) - host), guest);
}

function addEntry(context: L2Context, high: number, low: number, guest: number): void {
  const { header, fileBytes, placements } = context;
  const { clusterBytes, sizeBytes } = header;
  if ((high & 0x40_00_00_00) !== 0) {
    addCompressed(context, high, low, guest);
    return;
  }
  const isZero = (low & ZERO_FLAG) !== 0;
  if ((high & RESERVED_L2) !== 0 || (low & 0x1_fe) !== 0 || (isZero && header.version === 2))
    throw refuseImage(`the L2 entry of guest byte ${guest} makes no sense`);
  const host = (high & 0x00_ff_ff_ff) * 2 ** 32 + (low - (low % 512));
  if (host % clusterBytes !== 0)
    throw refuseImage(`the cluster of guest byte ${guest} is at byte ${host}, which is no cluster's start`);
  if (isZero || host === 0) return;
  if (!Number.isSafeInteger(host) || (fileBytes !== undefined && host >= fileBytes))
    throw refuseImage(`the cluster of guest byte ${guest} is out of bounds (truncated file?)`);
  placements.add(PLACEMENT_KINDS.data, host, Math.min(clusterBytes, sizeBytes - guest), guest);
}

function readL2(context: L2Context, table: Buffer, firstGuest: number): void {
  const { clusterBytes, sizeBytes } = context.header;
  for (let at = 0, guest = firstGuest; at < clusterBytes && guest < sizeBytes; at += 8, guest += clusterBytes) {
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    if (high !== 0 || low !== 0) addEntry(context, high, low, guest);
  }
}

async function readOne(source: ImageContents, range: SourceRange, signal: AbortSignal): Promise<Buffer> {
  for await (const bytes of source.read([range], signal))
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  throw refuseImage('its L1 table is out of bounds (truncated file?)');
}

/**
 * Reads header, L1 and L2 tables of a qcow2 file, and nothing of its data.
 * @throws AgentError `InvalidImage` for everything that is damaged, hostile or not supported
 */
export async function readQcow2Map(source: ImageContents, signal: AbortSignal): Promise<Qcow2Map> {
  const header = readQcow2Header(source.head, source.sizeBytes);
  const placements = new Placements();
  const hashes = createTableHashes();
  placements.add(PLACEMENT_KINDS.header, 0, header.headerBytes, 0);
  hashes.header.update(source.head.subarray(0, header.headerBytes));
  const l1Range = { position: header.l1Position, length: header.l1Entries * 8 };
  placements.add(PLACEMENT_KINDS.l1, l1Range.position, l1Range.length, 0);
  const l1 = await readOne(source, l1Range, signal);
  hashes.l1.update(l1);
  const tables = readL1(l1, header, source.sizeBytes);
  const context: L2Context = { header, fileBytes: source.sizeBytes, placements };
  const ranges = tables.map(({ position }) => ({ position, length: header.clusterBytes }));
  let index = 0;
  for await (const bytes of source.read(ranges, signal)) {
    hashes.l2.update(bytes);
    const table = tables[index++];
    if (!table) break;
    placements.add(PLACEMENT_KINDS.l2, table.position, header.clusterBytes, 0);
    readL2(context, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), table.guest);
  }
  if (index < tables.length) throw refuseImage('its L2 tables are out of bounds (truncated file?)');
  const order = placements.inFileOrder();
  checkOverlaps(placements, order);
  const tableDigests = {
    header: hashes.header.digest('hex'),
    l1: hashes.l1.digest('hex'),
    l2: hashes.l2.digest('hex'),
  };
  return { header, placements, order, tableDigests };
}
