import type { Gaps } from './gaps.ts';
import { type Placement, PLACEMENT_KINDS, type Placements } from './placements.ts';
import { isInFile, type Qcow2Header, refuseImage } from './qcow2-header.ts';

const RESERVED_HIGH = 0x3f_00_00_00;
const COMPRESSED_HIGH = 0x40_00_00_00;
/** "Reads as zeros", version 3 without subclusters only. */
const ZERO_FLAG = 1;
const SUBCLUSTERS = 32;

/** What entries of L2 tables are sorted into. */
export type L2Context = {
  header: Qcow2Header;
  fileBytes: number | undefined;
  placements: Placements;
  gaps: Gaps;
  /** Where the guest's first bytes are, before neighbours are joined. */
  boot: Placement[];
  bootBytes: number;
};

function place(context: L2Context, kind: number, host: number, length: number, guest: number): void {
  context.placements.add(kind, host, length, guest);
  if (guest < context.bootBytes) context.boot.push({ kind, host, length, guest });
}

function addCompressed(context: L2Context, high: number, low: number, guest: number): void {
  const { header, fileBytes } = context;
  // qcow2.txt, "Compressed Clusters Descriptor": bits 0 to x-1 are the position, x to 61 further sectors of 512 bytes.
  const positionBits = 62 - (Math.log2(header.clusterBytes) - 8);
  const host = (high & (2 ** (positionBits - 32) - 1)) * 2 ** 32 + low;
  const moreSectors = (high & 0x3f_ff_ff_ff) >>> (positionBits - 32);
  const length = (moreSectors + 1) * 512 - (host % 512);
  if (!isInFile(host, 1, fileBytes)) throw refuseImage('a compressed cluster is out of bounds (truncated file?)');
  // The last sector of the file need not be whole.
  place(context, PLACEMENT_KINDS.compressed, host, Math.min(length, (fileBytes ?? Infinity) - host), guest);
}

/** Part of a cluster: where it is in the file, or that it is nowhere. */
function addPart(context: L2Context, host: number | undefined, guest: number, length: number): void {
  const inGuest = Math.min(length, context.header.sizeBytes - guest);
  if (inGuest <= 0) return;
  if (host === undefined) context.gaps.add(guest, inGuest);
  else place(context, PLACEMENT_KINDS.data, host, inGuest, guest);
}

/** qcow2.txt, "Extended L2 Entries": bit x of the low word says that subcluster x is in the file, of the high one that it is zeros. */
function addSubclusters(context: L2Context, host: number, isThere: number, isZero: number, guest: number): void {
  if ((isThere & isZero) !== 0) throw refuseImage(`a subcluster of guest byte ${guest} is both data and zeros`);
  if (isThere !== 0 && host === 0) throw refuseImage(`the subclusters of guest byte ${guest} are nowhere`);
  const bytes = context.header.clusterBytes / SUBCLUSTERS;
  for (let index = 0; index < SUBCLUSTERS; index++)
    addPart(context, ((isThere >>> index) & 1) === 1 ? host + index * bytes : undefined, guest + index * bytes, bytes);
}

function addEntry(context: L2Context, table: Buffer, at: number, guest: number): void {
  const { header, fileBytes } = context;
  const { clusterBytes, l2EntryBytes, version } = header;
  const high = table.readUInt32BE(at);
  const low = table.readUInt32BE(at + 4);
  const hasSubclusters = l2EntryBytes === 16;
  const isZero = hasSubclusters ? table.readUInt32BE(at + 8) : 0;
  const isThere = hasSubclusters ? table.readUInt32BE(at + 12) : 0;
  const nonsense = () => refuseImage(`the L2 entry of guest byte ${guest} makes no sense`);
  if ((high & COMPRESSED_HIGH) !== 0) {
    if (isZero !== 0 || isThere !== 0) throw nonsense();
    addCompressed(context, high, low, guest);
    return;
  }
  const isFlagged = (low & ZERO_FLAG) !== 0;
  if ((high & RESERVED_HIGH) !== 0 || (low & 0x1_fe) !== 0 || (isFlagged && (version === 2 || hasSubclusters)))
    throw nonsense();
  const host = (high & 0x00_ff_ff_ff) * 2 ** 32 + (low - (low % 512));
  if (host % clusterBytes !== 0)
    throw refuseImage(`the cluster of guest byte ${guest} is at byte ${host}, which is no cluster's start`);
  const isRead = hasSubclusters ? isThere !== 0 : !isFlagged && host !== 0;
  if (isRead && !isInFile(host, 1, fileBytes))
    throw refuseImage(`the cluster of guest byte ${guest} is out of bounds (truncated file?)`);
  if (hasSubclusters) addSubclusters(context, host, isThere, isZero, guest);
  else addPart(context, isRead ? host : undefined, guest, clusterBytes);
}

/**
 * Sorts the entries of one L2 table into placements and gaps.
 * @param table one cluster
 * @param firstGuest guest position of its first entry
 * @throws AgentError `InvalidImage`
 */
export function readL2(context: L2Context, table: Buffer, firstGuest: number): void {
  const { clusterBytes, sizeBytes, l2EntryBytes } = context.header;
  for (
    let at = 0, guest = firstGuest;
    at < clusterBytes && guest < sizeBytes;
    at += l2EntryBytes, guest += clusterBytes
  )
    addEntry(context, table, at, guest);
}
