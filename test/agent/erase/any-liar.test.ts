import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import type { EraseRecord } from '../../../evidence/record.ts';
import { canary, samplePositions, type Sampling, samplingOf, witnessPositions } from '../../../evidence/samples.ts';
import { FIRMWARES, type Leaves } from '../../fakes/disk-vices.ts';
import type { Ability, Disk, FakeDisk } from '../../fakes/erasable-machine.ts';
import { type EraseOutcome, eraseFakes } from '../../fakes/erase-run.ts';

const SECTOR = 512;
const MIB = 1024 ** 2;

const abilities: Record<FakeDisk['kind'], Ability[]> = {
  sata: ['security', 'sanitize'],
  sas: ['sanitize', 'crypto'],
  nvme: ['format', 'crypto', 'sanitize'],
  virtio: [],
};

/** Bytes that stay: a run of them, runs in several places, or a sector in every so many. */
function leaving(sizeBytes: number): fc.Arbitrary<Leaves> {
  const sectors = sizeBytes / SECTOR;
  const run = (most: number) =>
    fc
      .tuple(fc.integer({ min: 0, max: sectors - 1 }), fc.integer({ min: 1, max: most }))
      .map(([from, length]) => [from * SECTOR, Math.min(sectors, from + length) * SECTOR] as const);
  const comb = fc.tuple(fc.integer({ min: 2, max: 4096 }), fc.nat(1_000_000)).map(([every, first]) =>
    Array.from({ length: Math.ceil((sectors - (first % every)) / every) }, (_, index) => {
      const at = (index * every + (first % every)) * SECTOR;
      return [at, at + SECTOR] as const;
    }),
  );
  const runs = fc.array(run(Math.ceil(sectors / 20)), { minLength: 1, maxLength: 5 });
  return fc.record({
    how: fc.constantFrom('stays', 'returns'),
    ranges: fc.oneof(
      runs,
      comb,
      run(sectors).map((one) => [one]),
    ),
  });
}

type Case = { disk: FakeDisk; options: { info: Record<string, unknown>; args: Record<string, unknown> } };

/** A disk that lies in any way, and what an operator may ask of it. */
function anyCase(sizeBytes: number, verifyPercent: number): fc.Arbitrary<Case> {
  const disk = fc.constantFrom<FakeDisk['kind'][]>('sata', 'sas', 'nvme', 'virtio').chain((kind) =>
    fc.record({
      kind: fc.constant(kind),
      sizeBytes: fc.constant(sizeBytes),
      sectorBytes: fc.constantFrom<(512 | 4096)[]>(512, 4096),
      abilities: fc.subarray(abilities[kind]),
      firmware: fc.constantFrom(...FIRMWARES),
      discard: fc.boolean(),
      seed: fc.double({ min: 0, max: 1, noNaN: true }),
      leaves: fc.option(leaving(sizeBytes), { nil: undefined }),
    }),
  );
  const options = fc.record({
    info: fc.record({
      agent_continue_if_secure_erase_failed: fc.boolean(),
      agent_erase_devices_iterations: fc.integer({ min: 0, max: 2 }),
      agent_erase_devices_zeroize: fc.boolean(),
    }),
    args: fc.record({
      verify_percent: fc.constant(verifyPercent),
      nonce: fc.constantFrom(null, 'n0nce'),
      method: fc.constantFrom(null, null, 'discard', 'overwrite-zeros', 'nvme-sanitize-block', 'scsi-sanitize-crypto'),
    }),
  });
  return fc.record({ disk, options }) as fc.Arbitrary<Case>;
}

/** Whatever chance brings, these are erased, and say so. */
const HONEST: [Case][] = (Object.keys(abilities) as FakeDisk['kind'][]).map((kind) => [
  {
    disk: { kind, sizeBytes: MIB / 2, abilities: abilities[kind] },
    options: { info: {}, args: { verify_percent: 100 } },
  },
]);

const samplingFor = ({ disk, settings }: EraseRecord): Sampling =>
  samplingOf(disk.size_bytes, disk.logical_sector_bytes, Number(settings['verify_share']));

/** Sectors (bytes from the start) that hold what the last owner or the agent's canaries had put there. */
function remains(now: Buffer, { before, firmware }: Disk, record: EraseRecord): number[] {
  const seed = record.verification?.seed ?? '';
  const written = Buffer.from(before);
  const sampling = samplingFor(record);
  for (const position of samplePositions(seed, sampling))
    canary(seed, position, sampling.blockBytes).copy(written, position);
  const found: number[] = [];
  // The second half of one that is half its size is no medium: nothing ever gets there.
  const end = firmware === 'half-its-size' ? now.length / 2 : now.length;
  for (let at = 0; at < end; at += SECTOR) {
    const sector = now.subarray(at, at + SECTOR);
    if ([before, written].some((old) => sector.equals(old.subarray(at, at + SECTOR)))) found.push(at);
  }
  return found;
}

/** @returns what remains of the one disk, and its record, where the evidence claims that it is erased */
async function claimed({ records, disks, content }: EraseOutcome) {
  const [record] = records;
  const [disk] = disks;
  if (record === undefined || disk === undefined || record.category === 'none') return undefined;
  return { record, places: remains(await content(disk), disk, record) };
}

test('where all of a disk is read back, no liar and no plan makes evidence of an erase while anything remains', async () => {
  let claims = 0;
  await fc.assert(
    fc.asyncProperty(anyCase(MIB / 2, 100), async ({ disk, options }) => {
      await using outcome = await eraseFakes([disk], options);
      expect(outcome.faults).toEqual([]);
      const found = await claimed(outcome);
      claims += Number(found !== undefined);
      expect(found?.places ?? []).toEqual([]);
    }),
    { numRuns: 40, examples: HONEST },
  );
  // Not because nothing is ever erased.
  expect(claims).toBeGreaterThanOrEqual(HONEST.length);
}, 120_000);

test('where some of a disk is read back, nothing remains in those places, nor in a row as long as docs/erase.md says', async () => {
  const size = 12 * MIB;
  await fc.assert(
    fc.asyncProperty(anyCase(size, 0), async ({ disk, options }) => {
      await using outcome = await eraseFakes([disk], options);
      expect(outcome.faults).toEqual([]);
      const found = await claimed(outcome);
      if (found === undefined) return;
      const sampling = samplingFor(found.record);
      const seed = found.record.verification?.seed ?? '';
      const read = new Set([...samplePositions(seed, sampling), ...witnessPositions(seed, sampling)]);
      const blockOf = (at: number) => at - (at % sampling.blockBytes);
      expect(found.places.filter((at) => read.has(blockOf(at)))).toEqual([]);
      // A row of two parts' length has a whole part in it, with its sample and its witness.
      let row = 0;
      let longest = 0;
      let last = -1;
      for (const at of found.places) {
        row = at === last + SECTOR ? row + SECTOR : SECTOR;
        longest = Math.max(longest, row);
        last = at;
      }
      expect(longest).toBeLessThan((2 * size) / sampling.count);
    }),
    { numRuns: 10 },
  );
}, 120_000);

test('samples meet what is scattered as often as docs/erase.md says', () => {
  // A disk of 1024 parts of 64 blocks, of which a share is left here and there: how often do the samples of a seed meet none of it?
  const sampling: Sampling = { sizeBytes: 1024 * 64 * 4096, blockBytes: 4096, count: 1024 };
  const scattered = (position: number): number => (Math.imul(position / 4096 + 1, 2_654_435_761) >>> 0) / 2 ** 32;
  const shares = [0.0045, 0.001];
  const missed = shares.map(() => 0);
  const rounds = 200;
  for (let round = 0; round < rounds; round++) {
    const least = Math.min(...[...samplePositions(round.toString(16).padStart(64, '0'), sampling)].map(scattered));
    for (const [index, share] of shares.entries()) missed[index] = (missed[index] ?? 0) + Number(least >= share);
  }
  const [some = 0, few = 0] = missed.map((count) => count / rounds);
  // (1 - share) to the power of 1024: 1 % and 36 %.
  expect(some).toBeLessThan(0.05);
  expect(few).toBeGreaterThan(0.2);
  expect(few).toBeLessThan(0.52);
});
