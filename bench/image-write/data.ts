import { createCipheriv, createHash } from 'node:crypto';

const MIB = 2 ** 20;
const POOL_BYTES = 16 * MIB;
const BLOCK_BYTES = 4096;
/** What of a disk in use is data. */
const ALLOCATED_SHARE = 0.4;
/** Partition tables are in here, at both ends. */
const EDGE_BYTES = MIB;

/** Random bytes and numbers that are the same for the same seed, whatever the machine: AES in counter mode. */
export type Draw = { bytes: (count: number) => Buffer; number: () => number };

export function createDraw(seed: string): Draw {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const bytes = (count: number) => cipher.update(Buffer.alloc(count));
  let pool = bytes(65_536);
  let at = 0;
  return {
    bytes,
    number: () => {
      if (at === pool.length) {
        pool = bytes(65_536);
        at = 0;
      }
      at += 4;
      return pool.readUInt32LE(at - 4) / 2 ** 32;
    },
  };
}

function textPool({ number, bytes }: Draw): Buffer {
  const words = Array.from({ length: 4096 }, () =>
    [...bytes(2 + Math.floor(number() * 9))].map((byte) => String.fromCharCode(97 + (byte % 26))).join(''),
  );
  const pool = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < pool.length;) {
    // Some words are everywhere and most are rare, as in any text.
    const word = words[Math.floor(words.length * number() ** 3)] ?? '';
    at += pool.write(number() < 0.1 ? `${word}\n` : `${word} `, at, 'latin1');
  }
  return pool;
}

/** Tables and code: records of 16 bytes of which a part changes from one to the next. */
function recordPool({ number }: Draw): Buffer {
  const pool = Buffer.alloc(POOL_BYTES);
  let address = 0x40_0000;
  for (let at = 0; at < pool.length; at += 16) {
    address += Math.floor(number() * 64);
    pool.writeUInt32LE(address, at);
    pool.writeUInt16LE(Math.floor(256 * number() ** 2), at + 4);
    pool.writeUInt32LE(0x0f_1f_84_00 + Math.floor(number() * 16), at + 8);
    pool.writeUInt16LE(Math.floor(65_536 * number()), at + 12);
  }
  return pool;
}

export type Extent = { position: number; bytes: Buffer };

/**
 * What is on a disk that has been in use: runs of files of all sizes, padded to blocks, with unused space between. A third of it does not
 * compress (archives, media), the rest is text and tables; zstd -3 makes about half of the data, as of a Linux image.
 */
export function* diskContent(seed: string, sizeBytes: number): Generator<Extent> {
  const draw = createDraw(seed);
  const pools = [draw.bytes(POOL_BYTES), textPool(draw), recordPool(draw)];
  const end = sizeBytes - EDGE_BYTES;
  let position = EDGE_BYTES;
  while (position < end) {
    const runEnd = Math.min(end, position + (4 + 60 * draw.number()) * MIB);
    const runStart = position;
    while (position < runEnd) {
      const length = Math.floor(BLOCK_BYTES * 2 ** (11 * draw.number() ** 2));
      const pool = pools[Math.floor(3 * draw.number())] ?? Buffer.alloc(0);
      const from = Math.floor(draw.number() * (POOL_BYTES - length));
      const bytes = pool.subarray(from, from + Math.min(length - Math.floor(draw.number() * 1000), runEnd - position));
      if (bytes.length > 0) yield { position, bytes };
      position += Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES;
    }
    const gap = ((position - runStart) * (1 - ALLOCATED_SHARE)) / ALLOCATED_SHARE;
    position += Math.ceil((gap * (0.5 + draw.number())) / BLOCK_BYTES) * BLOCK_BYTES;
  }
}
