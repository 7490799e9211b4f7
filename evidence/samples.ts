import { createCipheriv, createHash } from 'node:crypto';

export type Sampling = { sizeBytes: number; blockBytes: number; count: number };

/** Of a disk with so much room: enough to meet 0.45 % left over with a probability of 99 %. */
const SAMPLES = 1024;
const SAMPLE_BYTES = 4096;

/**
 * How a disk of this size is sampled: by blocks of 4096 bytes, or of a sector where the disk is no multiple of that; all of them on
 * a tiny disk.
 * @param sizeBytes a multiple of the sector
 * @param share of the disk that has to be read, 0 to 1
 */
export function samplingOf(sizeBytes: number, sectorBytes: number, share = 0): Sampling {
  const blockBytes = sizeBytes % SAMPLE_BYTES === 0 ? Math.max(SAMPLE_BYTES, sectorBytes) : sectorBytes;
  const blocks = Math.floor(sizeBytes / blockBytes);
  return { sizeBytes, blockBytes, count: Math.min(blocks, Math.max(SAMPLES, Math.ceil(blocks * share))) };
}

function hash(...parts: (string | Uint8Array)[]): Buffer {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
}

/**
 * Positions (bytes) of the samples: the blocks of the disk are divided into `count` parts of equal size, and in each one block is
 * chosen by SHA-256 of the seed, "position" and the part's number. The first part's is the first block, the last part's the last one.
 * @param seed 32 bytes as hex
 */
export function* samplePositions(seed: string, { sizeBytes, blockBytes, count }: Sampling): Generator<number> {
  const blocks = Math.floor(sizeBytes / blockBytes);
  const key = Buffer.from(seed, 'hex');
  for (let part = 0; part < count; part++) {
    const from = Math.floor((part * blocks) / count);
    const to = Math.floor(((part + 1) * blocks) / count);
    // 48 bits are more than any disk has blocks.
    const chance = hash(key, `position ${part}`).readUIntBE(0, 6) / 2 ** 48;
    const block = part === 0 ? 0 : part === count - 1 ? blocks - 1 : from + Math.floor(chance * (to - from));
    yield block * blockBytes;
  }
}

/**
 * Positions (bytes) of the witnesses: one block of each part, by SHA-256 of the seed, "witness" and the part's number, and never that
 * of the sample where the part has another one. They are only read, so that an erase of nothing but what was just written shows.
 */
export function* witnessPositions(seed: string, sampling: Sampling): Generator<number> {
  const { sizeBytes, blockBytes, count } = sampling;
  const blocks = Math.floor(sizeBytes / blockBytes);
  const key = Buffer.from(seed, 'hex');
  let part = 0;
  for (const sample of samplePositions(seed, sampling)) {
    const from = Math.floor((part * blocks) / count);
    const to = Math.floor(((part + 1) * blocks) / count);
    const chance = hash(key, `witness ${part}`).readUIntBE(0, 6) / 2 ** 48;
    const block = from + Math.floor(chance * (to - from));
    const isSample = block * blockBytes === sample;
    yield (isSample && to - from > 1 ? from + ((block - from + 1) % (to - from)) : block) * blockBytes;
    part += 1;
  }
}

/** What is written to a sampled block before the erase: AES-256-CTR of zeros, by the seed, with the position as counter block. */
export function canary(seed: string, position: number, blockBytes: number): Buffer {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(position), 0);
  return createCipheriv('aes-256-ctr', hash(Buffer.from(seed, 'hex'), 'canary'), counter).update(
    Buffer.alloc(blockBytes),
  );
}

/** SHA-256, hex, of what all samples hold when each is made by `content`. */
export function samplesHash(seed: string, sampling: Sampling, content: (position: number) => Uint8Array): string {
  const digest = createHash('sha256');
  for (const position of samplePositions(seed, sampling)) digest.update(content(position));
  return digest.digest('hex');
}

/** The share of the disk that, had it been left, so many random samples would have met with a probability of 99 %. */
export function wouldFind(count: number): number {
  return count === 0 ? 1 : 1 - 0.01 ** (1 / count);
}
