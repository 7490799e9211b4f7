import { attemptFaults } from './attempts.ts';
import { claimOf } from './methods.ts';
import { CATEGORIES, type EraseRecord, type Verification } from './record.ts';
import { patternAt, patternBase } from './pattern.ts';
import { canary, samplePositions, samplesHash, samplingOf, wouldFind } from './samples.ts';

/** Above this, what the samples must have held is not computed anew: that takes a second for each gigabyte. */
const MOST_RECOMPUTED_BYTES = 4 * 1024 ** 3;

type Verified = EraseRecord & { verification: Verification };

const rank = (category: EraseRecord['category']): number => CATEGORIES.indexOf(category);

const END_BYTES = 1024 ** 2;
const MOST_NAMED = 16;

/** How many samples there have to be of a disk, and how large: fewer would be an agent that looks away. */
function samplingFaults({ disk, verification: { samples, block_bytes: blockBytes, expectation } }: Verified): string[] {
  const { size_bytes: size, logical_sector_bytes: sector } = disk;
  if (sector < 512 || !Number.isInteger(Math.log2(sector))) return [`no disk has sectors of ${sector} bytes`];
  if (expectation === 'ends-zero')
    return samples === 2 && blockBytes === Math.min(END_BYTES, size)
      ? []
      : ['its two ends are not as long as they have to be'];
  const least = samplingOf(size, sector);
  if (blockBytes !== least.blockBytes)
    return [`samples of such a disk have ${least.blockBytes} bytes, and these have ${blockBytes}`];
  const blocks = Math.floor(size / blockBytes);
  if (samples > blocks) return [`${samples} samples cannot be of a disk with ${blocks} blocks`];
  return samples === 0 || samples < least.count
    ? [`${samples} samples are too few: of such a disk there are ${least.count}`]
    : [];
}

/** What the numbers of a read-back say of one another. */
function countFaults({ verification }: Verified): string[] {
  const {
    samples,
    wrong,
    wrong_at: wrongAt,
    all_zero: zero,
    expectation,
    canaries,
    canaries_sha256: hash,
  } = verification;
  const witnesses = verification.witnesses ?? { samples: 0, held: 0, unchanged: 0 };
  const needsZeros = expectation === 'zeros' || expectation === 'ends-zero';
  const found: [boolean, string][] = [
    [
      witnesses.held > witnesses.samples || witnesses.unchanged > witnesses.held,
      'more of its witnesses say something than there are',
    ],
    [wrong > samples || zero > samples, 'more of its samples say something than there are'],
    [wrongAt.length !== Math.min(wrong, MOST_NAMED), 'it names other places than were wrong'],
    [needsZeros && wrong === 0 && zero !== samples, 'its samples are said to be zeros, and not all of them are'],
    [canaries !== (hash !== null), 'it does not say what its canaries were'],
  ];
  return found.flatMap(([isWrong, sentence]) => (isWrong ? [sentence] : []));
}

/** Whether it takes too long to compute what the samples must have held. */
function isTooMuch({ samples, block_bytes: blockBytes, expectation }: Verification): boolean {
  return expectation !== 'ends-zero' && samples * blockBytes > MOST_RECOMPUTED_BYTES;
}

function samplesFaults(record: Verified): string[] {
  const { verification } = record;
  const { seed, block_bytes: blockBytes, samples: count, expectation } = verification;
  const sampling = { sizeBytes: record.disk.size_bytes, blockBytes, count };
  const faults = countFaults(record);
  const wrongSampling = samplingFaults(record);
  if (wrongSampling.length > 0 || expectation === 'ends-zero') return [...faults, ...wrongSampling];
  if (Math.abs(verification.would_find_fraction - wouldFind(count)) > 1e-9)
    faults.push('the share that its samples would have found is not that of their number');
  if (isTooMuch(verification)) return faults;
  if (verification.wrong_at.length > 0) {
    const positions = new Set(samplePositions(seed, sampling));
    const stray = verification.wrong_at.find(({ position }) => !positions.has(position));
    if (stray) faults.push(`byte ${stray.position} is none of the places that its seed chooses`);
  }
  if (
    verification.canaries &&
    verification.canaries_sha256 !== samplesHash(seed, sampling, (position) => canary(seed, position, blockBytes))
  )
    faults.push('its canaries are not those of its seed');
  const zeros = Buffer.alloc(blockBytes);
  const reads = verification.read_sha256;
  if (expectation === 'zeros' && verification.wrong === 0 && reads !== samplesHash(seed, sampling, () => zeros))
    faults.push('its samples are said to be zeros, and their hash is of something else');
  if (expectation === 'pattern' && verification.wrong === 0) {
    const base = patternBase(seed);
    const pass = Math.max(0, Number(record.settings['agent_erase_devices_iterations'] ?? 1) - 1);
    const wanted = samplesHash(seed, sampling, (position) => patternAt(base, position, blockBytes, pass));
    if (wanted !== reads) faults.push('its samples are said to be the pattern of its seed, and are not');
  }
  if (verification.canaries && verification.canaries_sha256 === reads && verification.wrong === 0)
    faults.push('its samples are the canaries: nothing was erased');
  return faults;
}

/** What must hold for the word "erased" to be true, each with the sentence that says that it does not. */
function successFaults(record: EraseRecord): string[] {
  const { verification, attempts } = record;
  const last = attempts.at(-1);
  const claim = last === undefined ? undefined : claimOf(last.method);
  const faults: string[] = [];
  const demand = (holds: boolean, sentence: string) => {
    if (!holds) faults.push(`it says "erased", but ${sentence}`);
  };
  demand(record.failure === null, 'names a failure');
  demand(last?.outcome === 'done', 'its last attempt is not done');
  demand(
    record.plan.methods.some(({ method }) => method === last?.method),
    'its last attempt is not in its plan',
  );
  demand(last?.written === null || last?.written?.unwritable.length === 0, 'parts of the disk could not be written');
  demand(verification !== null, 'nothing was read back');
  demand(verification === null || verification.wrong === 0, 'samples were wrong');
  demand((verification?.witnesses?.unchanged ?? 0) === 0, 'blocks hold what they held before');
  demand(
    verification === null || verification.expectation === claim?.expects,
    'it was not read back as its method asks',
  );
  demand(claim === undefined || rank(record.category) <= rank(claim.category), 'its method cannot give that category');
  demand(
    verification === null || verification.expectation !== 'changed' || verification.canaries,
    'without canaries nobody can tell that anything changed',
  );
  return faults;
}

/** An instant of the form that evidence has may still be none: the 40th of a month. */
function isInstant(text: string): boolean {
  const time = Date.parse(text);
  return !Number.isNaN(time) && new Date(time).toISOString() === text;
}

/** @returns what contradicts itself in a record; a signature tells who said it, this whether it can be so */
export function claimFaults(record: EraseRecord): string[] {
  const { attempts, verification } = record;
  const faults = attempts
    .filter(({ method }) => claimOf(method) === undefined)
    .map(({ method }) => `nobody knows the method ${method}`);
  const times = [record, ...attempts].flatMap(({ started_at: started, ended_at: ended }) => [started, ended]);
  if (!times.every((time) => isInstant(time))) faults.push('it has a time that is none');
  if (record.ended_at < record.started_at) faults.push('it ends before it begins');
  faults.push(...attemptFaults(record));
  if (verification !== null) faults.push(...samplesFaults({ ...record, verification }));
  if (record.result === 'erased') faults.push(...successFaults(record));
  else if (record.category !== 'none') faults.push('it failed, and claims a category all the same');
  if (record.result === 'failed' && record.failure === null) faults.push('it failed, and does not say why');
  return faults;
}

/** @returns what nobody has looked at in a record, and why; undefined when all was */
export function unchecked({ verification }: EraseRecord): string | undefined {
  if (verification === null || !isTooMuch(verification)) return undefined;
  return `what its ${verification.samples} samples had to hold was not computed anew: it is more than ${MOST_RECOMPUTED_BYTES / 1024 ** 3} GiB`;
}
