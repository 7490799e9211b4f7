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
  compression: 'zlib' | 'zstd';
  /** Bytes of the header itself, without extensions. */
  headerBytes: number;
};

export const QCOW2_MAGIC = 0x51_46_49_fb;
const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
const EXTERNAL_DATA_EXTENSION = 0x44_41_54_41;
/** As QEMU limits it (block/qcow2.h QCOW_MAX_L1_SIZE): 32 MiB of table. */
const MOST_L1_ENTRIES = (32 * 1024 ** 2) / 8;

/** A qcow2 that is damaged, hostile, or uses what we do not read. */
export function refuseImage(why: string): AgentError {
  return new AgentError(
    'InvalidImage',
    `cannot use the qcow2 image: ${why}; see what "qemu-img info" and "qemu-img check" say, or make it anew with "qemu-img convert -O qcow2"`,
  );
}

/** Features of version 3 that a reader must understand (qcow2.txt, "incompatible_features"). */
const INCOMPATIBLE_BITS: readonly (string | null)[] = [
  'it was not closed properly (dirty bit)',
  'it is marked as corrupt',
  'its data is in another file (external data file)',
  null, // compression type: read below
  'it has extended L2 entries (subclusters)',
];

function checkIncompatible(low: number, high: number): void {
  for (let bit = 0; bit < 64; bit++) {
    const word = bit < 32 ? low : high;
    if (((word >>> (bit % 32)) & 1) === 0) continue;
    const why = bit < INCOMPATIBLE_BITS.length ? INCOMPATIBLE_BITS[bit] : `unknown incompatible feature (bit ${bit})`;
    if (why) throw refuseImage(why);
  }
}

function checkExtensions(head: Buffer, start: number, end: number): void {
  for (let at = start; at + 8 <= end;) {
    const type = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (type === 0) return;
    if (type === EXTERNAL_DATA_EXTENSION) throw refuseImage('its data is in another file (external data file)');
    if (length > end - at - 8) throw refuseImage('a header extension does not fit in the first cluster');
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

/** A 64-bit number that must be a position or size below 2^53; more is no file that exists. */
function readPosition(head: Buffer, at: number, name: string): number {
  const value = head.readBigUInt64BE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuseImage(`${name} is absurd (${value})`);
  return Number(value);
}

function readCompression(head: Buffer, headerBytes: number, incompatibleLow: number): 'zlib' | 'zstd' {
  const isMarked = (incompatibleLow & 8) !== 0;
  const type = headerBytes > V3_HEADER_BYTES ? head.readUInt8(V3_HEADER_BYTES) : 0;
  if (type > 1) throw refuseImage(`unknown compression type ${type}`);
  if (isMarked !== (type !== 0)) throw refuseImage('its compression type and its feature bits do not agree');
  return type === 1 ? 'zstd' : 'zlib';
}

function checkL1(header: Qcow2Header, fileBytes: number | undefined): void {
  const { clusterBytes, sizeBytes, l1Entries, l1Position } = header;
  const guestBytesOfEntry = clusterBytes * (clusterBytes / 8);
  if (l1Entries > MOST_L1_ENTRIES)
    throw refuseImage(`its L1 table has ${l1Entries} entries (most are ${MOST_L1_ENTRIES})`);
  if (l1Entries < Math.ceil(sizeBytes / guestBytesOfEntry))
    throw refuseImage(`its L1 table is too small for its virtual size of ${sizeBytes} bytes`);
  if (l1Position === 0 || l1Position % clusterBytes !== 0)
    throw refuseImage(`its L1 table is at byte ${l1Position}, which is no cluster's start`);
  if (fileBytes !== undefined && l1Position + l1Entries * 8 > fileBytes)
    throw refuseImage('its L1 table is out of bounds (truncated file?)');
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
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refuseImage(`version ${version} is not known (2 and 3 are)`);
  if (bytes.readBigUInt64BE(8) !== 0n) throw refuseImage('it has a backing file');
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw refuseImage(`clusters of 2^${clusterBits} bytes are not allowed`);
  if (bytes.readUInt32BE(32) !== 0) throw refuseImage('it is encrypted');
  const incompatibleLow = version === 3 ? bytes.readUInt32BE(76) : 0;
  if (version === 3) checkIncompatible(incompatibleLow, bytes.readUInt32BE(72));
  const headerBytes = version === 3 ? bytes.readUInt32BE(100) : V2_HEADER_BYTES;
  const clusterBytes = 2 ** clusterBits;
  if (
    headerBytes < (version === 3 ? V3_HEADER_BYTES : V2_HEADER_BYTES) ||
    headerBytes > clusterBytes ||
    headerBytes > bytes.length
  )
    throw refuseImage(`a header of ${headerBytes} bytes is not allowed`);
  checkExtensions(bytes, headerBytes, Math.min(clusterBytes, bytes.length));
  const header: Qcow2Header = {
    version,
    clusterBytes,
    sizeBytes: readPosition(bytes, 24, 'its virtual size'),
    l1Entries: bytes.readUInt32BE(36),
    l1Position: readPosition(bytes, 40, 'the position of its L1 table'),
    compression: version === 3 ? readCompression(bytes, headerBytes, incompatibleLow) : 'zlib',
    headerBytes,
  };
  if (header.sizeBytes === 0) throw refuseImage('its virtual size is 0');
  checkL1(header, fileBytes);
  return header;
}
