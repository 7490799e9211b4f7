import { claimOf } from './methods.ts';
import { CATEGORIES, type EraseRecord, type Verification } from './record.ts';
import { patternAt, patternBase } from './pattern.ts';
import { canary, samplePositions, samplesHash, wouldFind } from './samples.ts';

/** Above this, what the samples must have held is not computed anew: that takes a second for each gigabyte. */
const MOST_RECOMPUTED_BYTES = 4 * 1024 ** 3;

const rank = (category: EraseRecord['category']): number => CATEGORIES.indexOf(category);

function samplesFaults(record: EraseRecord, verification: Verification): string[] {
  const { seed, block_bytes: blockBytes, samples: count, expectation } = verification;
  if (expectation === 'ends-zero') return [];
  const sampling = { sizeBytes: record.disk.size_bytes, blockBytes, count };
  const faults: string[] = [];
  const { samples = 0, held = 0, unchanged = 0 } = verification.witnesses ?? {};
  if (held > samples || unchanged > held) faults.push('more of its witnesses say something than there are');
  const blocks = blockBytes === 0 ? 0 : Math.floor(sampling.sizeBytes / blockBytes);
  if (count === 0 || count > blocks) return [`${count} samples cannot be of a disk with ${blocks} blocks`];
  if (Math.abs(verification.would_find_fraction - wouldFind(count)) > 1e-9)
    faults.push('the share that its samples would have found is not that of their number');
  if (count * blockBytes > MOST_RECOMPUTED_BYTES) return faults;
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

/** @returns what contradicts itself in a record; a signature tells who said it, this whether it can be so */
export function claimFaults(record: EraseRecord): string[] {
  const { attempts, verification } = record;
  const faults = attempts
    .filter(({ method }) => claimOf(method) === undefined)
    .map(({ method }) => `nobody knows the method ${method}`);
  if (record.ended_at < record.started_at) faults.push('it ends before it begins');
  if (verification !== null) faults.push(...samplesFaults(record, verification));
  if (record.result === 'erased') faults.push(...successFaults(record));
  else if (record.category !== 'none') faults.push('it failed, and claims a category all the same');
  return faults;
}
