import { createHash } from 'node:crypto';

import type { Verification } from '../../evidence/record.ts';
import { samplePositions, type Sampling, samplingOf, witnessPositions } from '../../evidence/samples.ts';
import type { BlockDevice } from '../os/door.ts';

const SECTOR_BYTES = 512;
const HASH_BYTES = 8;

/** A sector of a few bytes again and again is what a disk gives that nobody has written to. */
const PERIOD_BYTES = 16;

/** By position: a short hash of each sector, empty for one that holds nothing to know it by. */
export type Witnesses = { blocks: ReadonlyMap<number, readonly string[]>; blockBytes: number };
export const NO_WITNESSES: Witnesses = { blocks: new Map(), blockBytes: 0 };

function sectorHashes(block: Buffer): string[] {
  const hashes: string[] = [];
  for (let at = 0; at < block.length; at += SECTOR_BYTES) {
    const sector = block.subarray(at, at + SECTOR_BYTES);
    const isBlank = sector.subarray(PERIOD_BYTES).equals(sector.subarray(0, -PERIOD_BYTES));
    hashes.push(
      isBlank
        ? ''
        : createHash('sha256')
            .update(sector)
            .digest('hex')
            .slice(0, HASH_BYTES * 2),
    );
  }
  return hashes;
}

/** Their hashes, 64 bytes a block, are in memory for as long as the erase takes. */
const MOST_WITNESSES = 16_384;

function sampling({ sizeBytes, sectorBytes }: BlockDevice, share: number): Sampling {
  const wanted = samplingOf(sizeBytes, sectorBytes, share);
  return { ...wanted, count: Math.min(wanted.count, MOST_WITNESSES) };
}

/**
 * Remembers what some blocks hold before an erase, of which only hashes are kept, and nothing beyond this process. A device that
 * erases nothing but what it was just given, or goes back to what it had before that, changes every canary; so where they are to be and
 * where nothing is written is looked at.
 * To be called before canaries are written. Blocks that cannot be read are no witnesses.
 */
export async function readWitnesses(device: BlockDevice, seed: string, share: number): Promise<Witnesses> {
  const blocks = new Map<number, readonly string[]>();
  const plan = sampling(device, share);
  const block = Buffer.alloc(plan.blockBytes);
  const positions = new Set([...samplePositions(seed, plan), ...witnessPositions(seed, plan)]);
  for (const position of [...positions].toSorted((a, b) => a - b)) {
    try {
      await device.readBack(block, position);
    } catch {
      continue;
    }
    blocks.set(position, sectorHashes(block));
  }
  return { blocks, blockBytes: plan.blockBytes };
}

/** Reads them again. @returns what the evidence says of them, and where the first one that is as it was stands */
export async function checkWitnesses(
  device: BlockDevice,
  before: Witnesses,
): Promise<{ found: NonNullable<Verification['witnesses']>; firstUnchanged: number | undefined }> {
  const block = Buffer.alloc(before.blockBytes);
  let firstUnchanged: number | undefined;
  const found = { samples: before.blocks.size, held: 0, unchanged: 0 };
  for (const [position, old] of before.blocks) {
    if (old.every((hash) => hash === '')) continue;
    found.held += 1;
    // One that cannot be read is for the samples to complain of; this is no proof that it is as it was.
    const now = await device.readBack(block, position).then(
      () => sectorHashes(block),
      () => [],
    );
    if (!old.some((hash, index) => hash !== '' && hash === now[index])) continue;
    found.unchanged += 1;
    firstUnchanged ??= position;
  }
  return { found, firstUnchanged };
}
