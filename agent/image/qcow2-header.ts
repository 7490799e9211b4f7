import { AgentError } from '../api/errors.ts';

/**
 * The header of a qcow2 file (QEMU docs/interop/qcow2.txt), of which only what is needed to read the active state is kept.
 * All positions and sizes are bytes.
 */
export type Qcow2Header = {
  version: 2 | 3;
  clusterBytes: number;
  /** Guest size. */
  sizeBytes: number;
  l1Position: number;
  /** Entries of the active first-level table. */
  l1Entries: number;
  /** Bytes of an L2 entry: 8, or 16 with subclusters. */
  l2EntryBytes: 8 | 16;
  compression: 'zlib' | 'zstd';
  /** Bytes of the header itself, without extensions. */
  headerBytes: number;
  /** Where the table of reference counts is. It is not read; but nothing else may be there. */
  refcounts: { position: number; length: number };
};

export const QCOW2_MAGIC = 0x51_46_49_fb;
const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
const EXTERNAL_DATA_EXTENSION = 0x44_41_54_41;
/** As QEMU limits them (block/qcow2.h): L1 table of 32 MiB, refcount table of 8 MiB, refcounts of 64 bits. */
const MOST_L1_ENTRIES = (32 * 1024 ** 2) / 8;
const MOST_REFCOUNT_BYTES = 8 * 1024 ** 2;
const MOST_REFCOUNT_ORDER = 6;
/** Subclusters are 1/32 of a cluster and not smaller than a sector. */
const LEAST_BITS_WITH_SUBCLUSTERS = 14;
/** No file is larger (a PiB), so positions beyond it need no arithmetic that is exact. */
const MOST_POSITION = 2 ** 50;

/** What to try, by what is wrong. */
export const HINTS = {
  damaged: 'see what "qemu-img info" and "qemu-img check" say, or make it anew with "qemu-img convert -O qcow2"',
  backing: 'make one image of both with "qemu-img convert -O qcow2 IMAGE NEW"',
  encrypted: 'take the encryption away with "qemu-img convert" and --image-opts on a machine that has the key',
  check: 'repair it with "qemu-img check -r all IMAGE", and look at what is in it',
  newer: 'convert it with the QEMU that made it: "qemu-img convert -O qcow2 -o compat=1.1 IMAGE NEW"',
  clusters: 'use larger clusters: "qemu-img convert -O qcow2 -o cluster_size=2M IMAGE NEW"',
} as const;

/** A qcow2 that is damaged, hostile, or uses what we do not read. */
export function refuseImage(why: string, hint: keyof typeof HINTS = 'damaged'): AgentError {
  return new AgentError('InvalidImage', `cannot use the qcow2 image: ${why}; ${HINTS[hint]}`);
}

type Refusal = [why: string, hint: keyof typeof HINTS];
const SUBCLUSTERS_BIT = 4;

/** Features of version 3 that a reader must understand (qcow2.txt, "incompatible_features"); null are those that we do. */
const INCOMPATIBLE_BITS: readonly (Refusal | null)[] = [
  ['it was not closed properly (dirty bit)', 'check'],
  ['it is marked as corrupt', 'check'],
  ['its data is in another file (external data file)', 'backing'],
  null, // compression type
  null, // extended L2 entries
];

function checkIncompatible(low: number, high: number): void {
  for (let bit = 0; bit < 64; bit++) {
    const word = bit < 32 ? low : high;
    if (((word >>> (bit % 32)) & 1) === 0) continue;
    const refusal = INCOMPATIBLE_BITS[bit];
    if (refusal === undefined) throw refuseImage(`unknown incompatible feature (bit ${bit})`, 'newer');
    if (refusal) throw refuseImage(...refusal);
  }
}

function checkExtensions(head: Buffer, start: number, end: number): void {
  for (let at = start; at + 8 <= end;) {
    const type = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (type === 0) return;
    if (type === EXTERNAL_DATA_EXTENSION)
      throw refuseImage('its data is in another file (external data file)', 'backing');
    if (length > end - at - 8) throw refuseImage('a header extension does not fit in the first cluster');
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

/** A 64-bit position or size that a file can have. */
function readPosition(head: Buffer, at: number, name: string): number {
  const value = head.readBigUInt64BE(at);
  if (value > BigInt(MOST_POSITION)) throw refuseImage(`${name} is absurd (${value})`);
  return Number(value);
}

function readCompression(head: Buffer, headerBytes: number, incompatibleLow: number): 'zlib' | 'zstd' {
  const isMarked = (incompatibleLow & 8) !== 0;
  const type = headerBytes > V3_HEADER_BYTES ? head.readUInt8(V3_HEADER_BYTES) : 0;
  if (type > 1) throw refuseImage(`unknown compression type ${type}`, 'newer');
  if (isMarked !== (type !== 0)) throw refuseImage('its compression type and its feature bits do not agree');
  return type === 1 ? 'zstd' : 'zlib';
}

/** What one L2 table covers of the guest. */
export function guestBytesOfTable({ clusterBytes, l2EntryBytes }: Qcow2Header): number {
  return clusterBytes * (clusterBytes / l2EntryBytes);
}

/** Whether `length` bytes may be at a position, as far as the size of the file is known. */
export function isInFile(position: number, length: number, fileBytes: number | undefined): boolean {
  return position + length <= (fileBytes ?? MOST_POSITION);
}

function checkTables(header: Qcow2Header, fileBytes: number | undefined): void {
  const { clusterBytes, sizeBytes, l1Entries, l1Position, refcounts } = header;
  if (l1Entries > MOST_L1_ENTRIES)
    throw refuseImage(`its L1 table has ${l1Entries} entries (most are ${MOST_L1_ENTRIES})`);
  if (l1Entries < Math.ceil(sizeBytes / guestBytesOfTable(header)))
    throw refuseImage(`its L1 table is too small for its virtual size of ${sizeBytes} bytes`);
  if (l1Position === 0 || l1Position % clusterBytes !== 0)
    throw refuseImage(`its L1 table is at byte ${l1Position}, which is no cluster's start`);
  if (!isInFile(l1Position, l1Entries * 8, fileBytes))
    throw refuseImage('its L1 table is out of bounds (truncated file?)');
  if (refcounts.length > MOST_REFCOUNT_BYTES) throw refuseImage(`its refcount table has ${refcounts.length} bytes`);
  if (refcounts.position % clusterBytes !== 0)
    throw refuseImage(`its refcount table is at byte ${refcounts.position}, which is no cluster's start`);
  if (!isInFile(refcounts.position, refcounts.length, fileBytes))
    throw refuseImage('its refcount table is out of bounds (truncated file?)');
}

type Version = { version: 2 | 3; headerBytes: number; incompatible: number };

/** The fields that only version 3 has. */
function readVersion(bytes: Buffer): Version {
  const version = bytes.readUInt32BE(4);
  if (version === 2) return { version, headerBytes: V2_HEADER_BYTES, incompatible: 0 };
  if (version !== 3) throw refuseImage(`version ${version} is not known (2 and 3 are)`, 'newer');
  const incompatible = bytes.readUInt32BE(76);
  checkIncompatible(incompatible, bytes.readUInt32BE(72));
  const refcountOrder = bytes.readUInt32BE(96);
  if (refcountOrder > MOST_REFCOUNT_ORDER) throw refuseImage(`refcounts of 2^${refcountOrder} bits are not allowed`);
  const headerBytes = bytes.readUInt32BE(100);
  if (headerBytes < V3_HEADER_BYTES || headerBytes % 8 !== 0)
    throw refuseImage(`a header of ${headerBytes} bytes is not allowed`);
  return { version, headerBytes, incompatible };
}

/**
 * Reads and checks a header.
 * @param head the file's first bytes, as many as there are up to 64 KiB
 * @param fileBytes size of the file, where it is known
 * @throws AgentError `InvalidImage` that names what is wrong or not supported
 */
export function readQcow2Header(head: Uint8Array, fileBytes: number | undefined): Qcow2Header {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  if (bytes.length < V3_HEADER_BYTES + 8 || bytes.readUInt32BE(0) !== QCOW2_MAGIC)
    throw refuseImage('it has no whole header');
  const { version, headerBytes, incompatible } = readVersion(bytes);
  if (bytes.readBigUInt64BE(8) !== 0n) throw refuseImage('it has a backing file', 'backing');
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw refuseImage(`clusters of 2^${clusterBits} bytes are not allowed`);
  const encryption = bytes.readUInt32BE(32);
  if (encryption !== 0)
    throw refuseImage(`it is encrypted (${['', 'AES', 'LUKS'][encryption] ?? `method ${encryption}`})`, 'encrypted');
  const clusterBytes = 2 ** clusterBits;
  if (headerBytes > clusterBytes || headerBytes > bytes.length)
    throw refuseImage(`a header of ${headerBytes} bytes is not allowed`);
  const hasSubclusters = (incompatible & (1 << SUBCLUSTERS_BIT)) !== 0;
  if (hasSubclusters && clusterBits < LEAST_BITS_WITH_SUBCLUSTERS)
    throw refuseImage(`subclusters of clusters of ${clusterBytes} bytes are not allowed`);
  checkExtensions(bytes, headerBytes, Math.min(clusterBytes, bytes.length));
  const header: Qcow2Header = {
    version,
    clusterBytes,
    sizeBytes: readPosition(bytes, 24, 'its virtual size'),
    l1Entries: bytes.readUInt32BE(36),
    l1Position: readPosition(bytes, 40, 'the position of its L1 table'),
    l2EntryBytes: hasSubclusters ? 16 : 8,
    compression: version === 3 ? readCompression(bytes, headerBytes, incompatible) : 'zlib',
    headerBytes,
    refcounts: {
      position: readPosition(bytes, 48, 'the position of its refcount table'),
      length: bytes.readUInt32BE(56) * clusterBytes,
    },
  };
  if (header.sizeBytes === 0) throw refuseImage('its virtual size is 0');
  checkTables(header, fileBytes);
  return header;
}
