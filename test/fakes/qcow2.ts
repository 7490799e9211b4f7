import { deflateRawSync, zstdCompressSync } from 'node:zlib';

/** What an image for a test is like. Everything else is drawn from the seed. */
export type Qcow2Options = {
  guest: Buffer;
  clusterBits: number;
  version: 2 | 3;
  compression: 'zlib' | 'zstd';
  seed: number;
  /** Share of clusters with data that are compressed, 0 to 1. */
  compressed: number;
};

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}

/** Something that takes whole clusters of the file; `place` learns where. */
type Unit = { bytes: Buffer; place: (host: number) => void };

type Cluster =
  | { kind: 'hole' }
  | { kind: 'zero' | 'data'; host?: number }
  | { kind: 'compressed'; offset: number; length: number };

const HEADER_BYTES = { 2: 72, 3: 112 } as const;

function makeHeader(options: Qcow2Options, l1Entries: number, l1Position: number): Buffer {
  const header = Buffer.alloc(2 ** options.clusterBits);
  header.writeUInt32BE(0x51_46_49_fb, 0);
  header.writeUInt32BE(options.version, 4);
  header.writeUInt32BE(options.clusterBits, 20);
  header.writeBigUInt64BE(BigInt(options.guest.length), 24);
  header.writeUInt32BE(l1Entries, 36);
  header.writeBigUInt64BE(BigInt(l1Position), 40);
  if (options.version === 3) {
    header.writeUInt32BE(options.compression === 'zstd' ? 8 : 0, 76);
    header.writeUInt32BE(4, 96);
    header.writeUInt32BE(HEADER_BYTES[3], 100);
    header.writeUInt8(options.compression === 'zstd' ? 1 : 0, 104);
  }
  return header;
}

/** Where the compressed cluster is and how many sectors it touches (qcow2.txt, "Compressed Clusters Descriptor"). */
function compressedEntry(position: number, length: number, clusterBits: number): bigint {
  const sectors = Math.floor((position + length - 1) / 512) - Math.floor(position / 512);
  const positionBits = 62 - (clusterBits - 8);
  return (1n << 62n) | (BigInt(sectors) << BigInt(positionBits)) | BigInt(position);
}

/**
 * A qcow2 file with its parts in random order: tables after the data they speak of, zero clusters of both kinds, compressed
 * clusters packed byte to byte. No refcounts: readers need none.
 */
export function makeQcow2(options: Qcow2Options): Buffer {
  const { guest, clusterBits, version } = options;
  const clusterBytes = 2 ** clusterBits;
  const random = seeded(options.seed);
  const units: Unit[] = [];
  const packed: Buffer[] = [];
  let packedBytes = 0;
  let packedHost = 0;
  const clusters: Cluster[] = [];
  for (let at = 0; at < guest.length; at += clusterBytes) {
    const bytes = Buffer.alloc(clusterBytes);
    guest.copy(bytes, 0, at, Math.min(guest.length, at + clusterBytes));
    const isZero = bytes.equals(Buffer.alloc(clusterBytes));
    const choice = random();
    if (isZero && choice < 0.5) clusters.push({ kind: 'hole' });
    else if (isZero && version === 3 && choice < 0.75) clusters.push({ kind: 'zero' });
    else if (random() < options.compressed) {
      const small = options.compression === 'zstd' ? zstdCompressSync(bytes) : deflateRawSync(bytes);
      if (small.length >= clusterBytes) {
        const cluster: Cluster = { kind: 'data' };
        units.push({ bytes, place: (host) => (cluster.host = host) });
        clusters.push(cluster);
        continue;
      }
      packed.push(small);
      clusters.push({ kind: 'compressed', offset: packedBytes, length: small.length });
      packedBytes += small.length;
    } else {
      // A zero flag beside a host cluster means zeros too, whatever that cluster holds.
      const isFlagged = isZero && version === 3 && random() < 0.5;
      const cluster: Cluster = { kind: isFlagged ? 'zero' : 'data' };
      units.push({
        bytes: isFlagged ? Buffer.alloc(clusterBytes, 0xee) : bytes,
        place: (host) => (cluster.host = host),
      });
      clusters.push(cluster);
    }
  }
  if (packedBytes > 0) units.push({ bytes: Buffer.concat(packed), place: (host) => (packedHost = host) });
  const perTable = clusterBytes / 8;
  const l1Entries = Math.max(1, Math.ceil(clusters.length / perTable));
  const l1 = Buffer.alloc(l1Entries * 8);
  let l1Position = 0;
  units.push({ bytes: l1, place: (host) => (l1Position = host) });
  const tables = Array.from({ length: l1Entries }, () => Buffer.alloc(clusterBytes));
  const tableHosts: number[] = [];
  tables.forEach((table, index) => {
    const isNeeded = clusters.slice(index * perTable, (index + 1) * perTable).some(({ kind }) => kind !== 'hole');
    if (isNeeded) units.push({ bytes: table, place: (host) => (tableHosts[index] = host) });
  });
  let position = clusterBytes;
  const placed = shuffle(units, random).map((unit) => {
    const host = position;
    unit.place(host);
    position += Math.ceil(unit.bytes.length / clusterBytes) * clusterBytes;
    return { host, bytes: unit.bytes };
  });
  clusters.forEach((cluster, index) => {
    const table = tables[Math.floor(index / perTable)];
    const at = (index % perTable) * 8;
    if (cluster.kind === 'hole' || !table) return;
    const entry =
      cluster.kind === 'compressed'
        ? compressedEntry(packedHost + cluster.offset, cluster.length, clusterBits)
        : cluster.kind === 'zero'
          ? BigInt(cluster.host ?? 0) | 1n
          : BigInt(cluster.host ?? 0) | (1n << 63n);
    table.writeBigUInt64BE(entry, at);
  });
  tableHosts.forEach((host, index) => l1.writeBigUInt64BE(BigInt(host) | (1n << 63n), index * 8));
  const file = Buffer.alloc(position);
  makeHeader(options, l1Entries, l1Position).copy(file);
  for (const { host, bytes } of placed) bytes.copy(file, host);
  // A file may end before its last cluster does, when only zeros would follow.
  const isCut = random() < 0.5;
  let end = file.length;
  if (!isCut) return file;
  const lastHost = placed.at(-1)?.host ?? 0;
  while (end > lastHost + 1 && file[end - 1] === 0) end--;
  const lastTable = Math.max(l1Position + l1.length, ...tableHosts.map((host) => (host ?? 0) + clusterBytes));
  // A zero at the end of a compressed cluster belongs to it: a file without it is damaged.
  const lastPacked = packedBytes > 0 ? packedHost + packedBytes : 0;
  return file.subarray(0, Math.max(end, lastTable, lastPacked));
}

/** A guest of random runs of zeros, text and noise, with an MBR that has one partition. */
export function makeGuest(length: number, seed: number): Buffer {
  const random = seeded(seed);
  const guest = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const run = Math.min(length - at, 1 + Math.floor(random() * 200_000));
    const kind = random();
    if (kind < 0.3) guest.fill('the same words again and again. ', at, at + run);
    else if (kind < 0.6) for (let i = at; i < at + run; i++) guest[i] = random() * 256;
    at += run;
  }
  if (length >= 512) {
    guest.fill(0, 446, 510);
    guest.writeUInt8(0x83, 450);
    guest.writeUInt32LE(2048, 454);
    guest.writeUInt32LE(2048, 458);
    guest.writeUInt16BE(0x55_aa, 510);
  }
  return guest;
}
