import { createHash } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import { patternAt, patternBase } from '../../evidence/pattern.ts';
import type { Expectation, Verification } from '../../evidence/record.ts';
import { canary, samplePositions, type Sampling, samplesHash, samplingOf, wouldFind } from '../../evidence/samples.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';

const MOST_NAMED = 16;
const SECTOR_BYTES = 512;
const END_BYTES = 1024 ** 2;

/** A disk that takes a write and gives something else back. Whatever it says of an erase is worth nothing. */
export class ForgetfulDisk extends AgentError {}

/**
 * Writes canaries to all places that will be read back, and looks whether they are there.
 * @throws `ForgetfulDisk` where the disk does not give them back, or what the kernel says where it does not take them
 */
export async function writeCanaries(device: BlockDevice, seed: string, share: number): Promise<void> {
  const sampling = samplingOf(device.sizeBytes, device.sectorBytes, share);
  for (const position of samplePositions(seed, sampling))
    await device.write(canary(seed, position, sampling.blockBytes), position);
  await device.flush();
  const block = Buffer.alloc(sampling.blockBytes);
  for (const position of samplePositions(seed, sampling)) {
    await device.readBack(block, position);
    if (!block.equals(canary(seed, position, sampling.blockBytes)))
      throw new ForgetfulDisk(
        'BlockDeviceEraseError',
        `what was written to byte ${position} does not read back: the disk does not keep what it is given`,
      );
  }
}

type Check = (block: Buffer, position: number) => string | undefined;

/** True when a sector of the block is what the canary had there; a torn erase may leave one of several. */
function holdsCanary(block: Buffer, old: Buffer): boolean {
  for (let at = 0; at < block.length; at += SECTOR_BYTES)
    if (block.subarray(at, at + SECTOR_BYTES).equals(old.subarray(at, at + SECTOR_BYTES))) return true;
  return false;
}

function checker(options: VerifyOptions, { blockBytes }: Sampling): Check {
  const { expectation, seed, pass = 0 } = options;
  const zeros = Buffer.alloc(blockBytes);
  if (expectation === 'zeros') return (block) => (block.equals(zeros) ? undefined : 'it is not zeros');
  if (expectation === 'changed')
    return (block, position) =>
      holdsCanary(block, canary(seed, position, blockBytes)) ? 'what was there before is there still' : undefined;
  const base = patternBase(seed);
  return (block, position) =>
    block.equals(patternAt(base, position, blockBytes, pass)) ? undefined : 'it is not what was written there';
}

export type VerifyOptions = {
  expectation: Exclude<Expectation, 'ends-zero'>;
  seed: string;
  /** Of a pattern: which pass wrote it. */
  pass?: number;
  /** Share of the disk that is read at least. */
  share: number;
  /** They had been written to the same places. */
  canaries: boolean;
  /** Bytes; what lies behind is not looked at. */
  to?: number;
};

/** Reads the samples back, past the page cache. A block that cannot be read is wrong: what it holds nobody knows. */
export async function verifyDisk(device: BlockDevice, options: VerifyOptions): Promise<Verification> {
  const { expectation, seed, share, canaries, to = device.sizeBytes } = options;
  const sampling = samplingOf(device.sizeBytes, device.sectorBytes, share);
  const { blockBytes, count } = sampling;
  const check = checker(options, sampling);
  const digest = createHash('sha256');
  const zeros = Buffer.alloc(blockBytes);
  const block = Buffer.alloc(blockBytes);
  const wrongAt: Verification['wrong_at'] = [];
  let [wrong, allZero] = [0, 0];
  for (const position of samplePositions(seed, sampling)) {
    if (position + blockBytes > to) continue;
    let why: string | undefined;
    try {
      await device.readBack(block, position);
      digest.update(block);
      why = check(block, position);
      if (block.equals(zeros)) allZero += 1;
    } catch (error) {
      why = `it cannot be read: ${reasonOf(error)}`;
    }
    if (why === undefined) continue;
    wrong += 1;
    if (wrongAt.length < MOST_NAMED) wrongAt.push({ position, why });
  }
  return {
    expectation,
    seed,
    block_bytes: blockBytes,
    samples: count,
    canaries,
    canaries_sha256: canaries ? samplesHash(seed, sampling, (position) => canary(seed, position, blockBytes)) : null,
    read_sha256: digest.digest('hex'),
    all_zero: allZero,
    direct: device.isDirect?.() ?? false,
    wrong,
    wrong_at: wrongAt,
    would_find_fraction: wouldFind(count),
  };
}

/** Of a metadata wipe: both ends, of a MiB each. */
export async function verifyEnds(device: BlockDevice, seed: string): Promise<Verification> {
  const length = Math.min(END_BYTES, device.sizeBytes);
  const digest = createHash('sha256');
  const wrongAt: Verification['wrong_at'] = [];
  let allZero = 0;
  for (const position of [0, device.sizeBytes - length]) {
    const block = Buffer.alloc(length);
    try {
      await device.readBack(block, position);
      digest.update(block);
      if (block.equals(Buffer.alloc(length))) allZero += 1;
      else wrongAt.push({ position, why: 'it is not zeros' });
    } catch (error) {
      wrongAt.push({ position, why: `it cannot be read: ${reasonOf(error)}` });
    }
  }
  return {
    expectation: 'ends-zero',
    seed,
    block_bytes: length,
    samples: 2,
    canaries: false,
    canaries_sha256: null,
    read_sha256: digest.digest('hex'),
    all_zero: allZero,
    direct: device.isDirect?.() ?? false,
    wrong: wrongAt.length,
    wrong_at: wrongAt,
    would_find_fraction: 1,
  };
}
