import { randomInt } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import type { CommandProgress } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice, ZeroMethod } from '../os/door.ts';
import { BLOCK_BYTES } from './blocks.ts';
import type { Checksum } from './checksum.ts';
import type { Compression } from './compression.ts';
import { createFlow, type Flow } from './flow.ts';
import { makePlan, type Plan, type PlanJob } from './plan.ts';
import { streamImage } from './stream.ts';
import { createVerifier, type VerifiedWrite, type VerifyLevel } from './verify.ts';
import { betweenEnds, END_BYTES, SIGNATURE_BYTES, withholdEnds, type WithheldDevice } from './withheld.ts';
import { createZeroedMedium } from './zero-ahead.ts';

const FLOW_BYTES = 8 * BLOCK_BYTES;
/** Holes are zeroed in pieces of this size, so that progress is seen and an abort is heard. */
const ZERO_PIECE_BYTES = 1024 ** 3;

export type WriteImageJob = PlanJob & {
  /** Undefined only where somebody said that there is none; the file is hashed with SHA-256 all the same. */
  checksum: Checksum | undefined;
  /** Already opened for writing, exclusively; the caller closes it. */
  device: BlockDevice;
  /** Destroys what was on the disk. Called once, when the image has been found good and before the first byte of it is written. */
  wipe: () => Promise<void>;
  /** How much is read back before the disk can boot; `sample` unless said. */
  verify?: VerifyLevel | undefined;
  /** Chooses the samples; drawn unless said. */
  verifySeed?: number;
  progress: (progress: CommandProgress) => void;
  /** A try before this one has wiped the disk already: it boots nothing, but is no longer what it was. */
  isTouched?: boolean;
};

export type WrittenImage = {
  format: 'raw' | 'qcow2';
  /** What was around it. */
  compression: Compression | undefined;
  /** Bytes of the image as the disk has them, and of its file. */
  imageBytes: number;
  fileBytes: number;
  /** What the bytes of the file hashed to, in the algorithm of the wanted checksum. */
  checksum: Checksum;
  /** How zeros were made, where that was tried. */
  zeros: ZeroMethod | undefined;
  verified: VerifiedWrite;
};

async function zeroGaps(job: WriteImageJob, plan: Plan, device: WithheldDevice, flow: Flow): Promise<void> {
  for (const { position, length } of plan.gaps()) {
    for (let done = 0; done < length; done += ZERO_PIECE_BYTES) {
      job.signal.throwIfAborted();
      const piece = Math.min(ZERO_PIECE_BYTES, length - done);
      job.progress({ phase: 'clear unused space', done: position + done, total: plan.imageBytes ?? 0, unit: 'bytes' });
      await flow.start(BLOCK_BYTES, () => device.zero(position + done, piece));
    }
  }
}

/**
 * Takes the partition tables away, also when the work was aborted. The header of the backup GPT goes before the first sectors, and
 * they before anything else: firmware takes the backup when the first table is damaged (UEFI 2.10, 5.3.2).
 */
async function clearEnds(device: BlockDevice): Promise<void> {
  const length = Math.min(END_BYTES, device.sizeBytes);
  const signature = Math.min(SIGNATURE_BYTES, device.sizeBytes);
  for (const position of [device.sizeBytes - signature, 0]) {
    await device.zero(position, signature);
    await device.flush();
  }
  await device.zero(0, length);
  await device.zero(device.sizeBytes - length, length);
  await device.flush();
  const back = Buffer.alloc(length);
  for (const position of [0, device.sizeBytes - length]) {
    await device.readBack(back, position);
    if (!back.equals(Buffer.alloc(length)))
      throw new AgentError(
        'BlockDeviceError',
        `cannot trust ${device.path}: it took zeros for its partition table at byte ${position}, and still has something else there; replace the disk`,
      );
  }
}

function withNote(error: unknown, note: string): AgentError {
  return error instanceof AgentError
    ? new AgentError(error.type, `${error.details}; ${note}`, { cause: error })
    : new AgentError('ImageWriteError', `cannot write the image: ${reasonOf(error)}; ${note}`, { cause: error });
}

async function writePlan(job: WriteImageJob, plan: Plan): Promise<WrittenImage> {
  const { device, checksum, verify = 'sample', verifySeed = randomInt(2 ** 31) } = job;
  job.progress({ phase: 'clear unused space' });
  const hasGaps = plan.format === 'raw' || !plan.gaps()[Symbol.iterator]().next().done;
  const zeroed = await createZeroedMedium(device, plan.imageBytes, hasGaps, job.signal);
  const verifier = createVerifier(verify, zeroed, device, verifySeed);
  const withheld = withholdEnds(verifier.medium, device.path, plan.imageBytes ?? device.sizeBytes);
  const flow = createFlow(FLOW_BYTES);
  const placer = plan.placer(withheld, flow, zeroed.isZeroedAhead);
  try {
    await zeroGaps(job, plan, withheld, flow);
    // Holes first and alone: the kernel refuses to zero a range whose pages are still to be written.
    await flow.drain();
    const streamed = await streamImage(job, plan, placer);
    await flow.drain();
    await device.flush();
    const { from, to } = betweenEnds(plan.imageBytes ?? device.sizeBytes);
    const bytes = await verifier.check({ from, to: Math.min(to, streamed.imageBytes) }, job);
    job.progress({ phase: 'flush', message: checksum ? 'the image is verified' : 'nothing to verify the image with' });
    await withheld.release();
    const verified = { level: verify, seed: verifySeed, bytes };
    return { format: plan.format, compression: plan.contents.compression, ...streamed, zeros: zeroed.method, verified };
  } finally {
    // No job may write after the caller cleared the ends or closed the device. Its error was thrown already.
    await flow.drain().catch(() => undefined);
    await placer.close();
  }
}

/**
 * Writes an image to a disk in one pass, hashing the very bytes that it places. Until the checksum is verified the disk has no
 * partition table, and after a failure neither.
 * @throws AgentError `InvalidImage`, `ImageDownloadError`, `ImageChecksumError`, `ImageWriteError`, `BlockDeviceError`;
 *   the details say whether the disk was touched
 */
export async function writeImage(job: WriteImageJob): Promise<WrittenImage> {
  const { device } = job;
  let plan: Plan;
  try {
    plan = await makePlan(job, device);
    job.signal.throwIfAborted();
  } catch (error) {
    throw withNote(error, job.isTouched ? `${device.path} has no partition table` : `${device.path} was not touched`);
  }
  try {
    await job.wipe();
    await clearEnds(device);
    return await writePlan(job, plan);
  } catch (error) {
    const cleared = await clearEnds(device).then(
      () => `the partition table of ${device.path} was cleared, so that it does not boot half an image`,
      (reason: unknown) => `and the partition table of ${device.path} could not be cleared (${reasonOf(reason)})`,
    );
    throw withNote(error, cleared);
  }
}
