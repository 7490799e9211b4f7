import { createHash } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import type { CommandProgress } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { BLOCK_BYTES, toBlocks } from './blocks.ts';
import { BOOT_BYTES, checkBootSectors } from './boot-sectors.ts';
import type { Checksum } from './checksum.ts';
import { createFlow, createRing, type Flow } from './flow.ts';
import { checkPermitted, decideFormat } from './format.ts';
import { createQcow2Placer } from './place-qcow2.ts';
import { createRawPlacer, type Placer } from './place-raw.ts';
import { readQcow2Boot } from './qcow2-boot.ts';
import { readQcow2Map } from './qcow2-tables.ts';
import type { ImageSource } from './source.ts';
import { withholdEnds, type WithheldDevice } from './withheld.ts';

const FLOW_BYTES = 8 * BLOCK_BYTES;
const RING_BLOCKS = 4;
/** Holes are zeroed in pieces of this size, so that progress is seen and an abort is heard. */
const ZERO_PIECE_BYTES = 1024 ** 3;
/** Both partition tables with all their entries lie within this much of the two ends of a disk. */
const END_BYTES = 1024 ** 2;

export type WriteImageJob = {
  source: ImageSource;
  diskFormat: string | null | undefined;
  /** Formats that may be written (`permitted_image_formats`); any without it. */
  permittedFormats?: readonly string[] | undefined;
  /** Undefined only where somebody said that there is none; the file is hashed with SHA-256 all the same. */
  checksum: Checksum | undefined;
  /** Already opened for writing, exclusively; the caller closes it. */
  device: BlockDevice;
  /** Destroys what was on the disk. Called once, when the image has been found good and before the first byte of it is written. */
  wipe: () => Promise<void>;
  progress: (progress: CommandProgress) => void;
  signal: AbortSignal;
  /** A try before this one has wiped the disk already: it boots nothing, but is no longer what it was. */
  isTouched?: boolean;
};

export type WrittenImage = {
  format: 'raw' | 'qcow2';
  /** Bytes of the image as the disk has them, and of its file. */
  imageBytes: number;
  fileBytes: number;
  /** What the bytes of the file hashed to, in the algorithm of the wanted checksum. */
  checksum: Checksum;
};

/** What an image is, as far as it can be told without reading all of it. */
export type ImageOutline = Pick<WrittenImage, 'format' | 'imageBytes'> & {
  /** Of the file; undefined where the server does not say. */
  fileBytes: number | undefined;
  /** Bytes of the image that the file has data for; the rest reads as zeros. */
  allocatedBytes: number;
};

const UNCHECKED_ALGORITHM = 'sha256';

/** How an image of one format gets onto a device. */
type Plan = {
  format: 'raw' | 'qcow2';
  imageBytes: number;
  boot: Buffer;
  /** Ranges that the file has no bytes for; they read as zeros. */
  gaps: () => Iterable<{ position: number; length: number }>;
  placer: (device: WithheldDevice, flow: Flow) => Placer;
};

async function makePlan(
  job: Pick<WriteImageJob, 'source' | 'diskFormat' | 'permittedFormats' | 'signal'>,
): Promise<Plan> {
  const { source, signal } = job;
  const format = decideFormat(source.head, job.diskFormat);
  if (job.permittedFormats) checkPermitted(format, job.permittedFormats);
  if (format === 'qcow2') {
    const map = await readQcow2Map(source, signal);
    const { sizeBytes, clusterBytes } = map.header;
    return {
      format,
      imageBytes: sizeBytes,
      boot: await readQcow2Boot(map, source, signal),
      gaps: () => map.placements.gaps(sizeBytes, clusterBytes),
      placer: (device, flow) => createQcow2Placer(map, device, flow),
    };
  }
  if (source.sizeBytes === undefined)
    throw new AgentError(
      'ImageDownloadError',
      `cannot write ${source.name}: the server does not say how long it is (no Content-Length)`,
    );
  return {
    format,
    imageBytes: source.sizeBytes,
    boot: Buffer.from(source.head.subarray(0, BOOT_BYTES)),
    gaps: () => [],
    placer: createRawPlacer,
  };
}

function checkFits(plan: Plan, device: Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'>): void {
  if (plan.imageBytes > device.sizeBytes)
    throw new AgentError(
      'InvalidImage',
      `cannot write the image to ${device.path}: it is ${plan.imageBytes} bytes, the disk has ${device.sizeBytes}; choose another disk by root device hints`,
    );
  checkBootSectors(plan.boot, device.sectorBytes);
}

async function zeroGaps(job: WriteImageJob, plan: Plan, device: WithheldDevice, flow: Flow): Promise<void> {
  for (const { position, length } of plan.gaps()) {
    for (let done = 0; done < length; done += ZERO_PIECE_BYTES) {
      job.signal.throwIfAborted();
      const piece = Math.min(ZERO_PIECE_BYTES, length - done);
      job.progress({ phase: 'clear unused space', done: position + done, total: plan.imageBytes, unit: 'bytes' });
      await flow.start(BLOCK_BYTES, () => device.zero(position + done, piece));
    }
  }
}

async function streamImage(job: WriteImageJob, placer: Placer): Promise<Pick<WrittenImage, 'fileBytes' | 'checksum'>> {
  const { source, signal, progress } = job;
  const algorithm = job.checksum?.algorithm ?? UNCHECKED_ALGORITHM;
  const hash = createHash(algorithm);
  let fileBytes = 0;
  for await (const block of toBlocks(source.stream(signal), createRing(RING_BLOCKS, BLOCK_BYTES))) {
    signal.throwIfAborted();
    hash.update(block.bytes);
    fileBytes += block.bytes.length;
    await placer.place(block);
    progress({ phase: 'write image', done: fileBytes, total: source.sizeBytes ?? 0, unit: 'bytes' });
  }
  await placer.finish();
  return { fileBytes, checksum: { algorithm, hex: hash.digest('hex') } };
}

/** Takes the partition tables away, also when the work was aborted. */
async function clearEnds(device: BlockDevice): Promise<void> {
  const length = Math.min(END_BYTES, device.sizeBytes);
  await device.zero(0, length);
  await device.zero(device.sizeBytes - length, length);
  await device.flush();
}

function withNote(error: unknown, note: string): AgentError {
  return error instanceof AgentError
    ? new AgentError(error.type, `${error.details}; ${note}`, { cause: error })
    : new AgentError('ImageWriteError', `cannot write the image: ${reasonOf(error)}; ${note}`, { cause: error });
}

async function writePlan(job: WriteImageJob, plan: Plan): Promise<WrittenImage> {
  const { device, checksum, source } = job;
  const withheld = withholdEnds(device, plan.imageBytes);
  const flow = createFlow(FLOW_BYTES);
  try {
    await zeroGaps(job, plan, withheld, flow);
    // Holes first and alone: the kernel refuses to zero a range whose pages are still to be written.
    await flow.drain();
    const streamed = await streamImage(job, plan.placer(withheld, flow));
    await flow.drain();
    if (checksum && streamed.checksum.hex !== checksum.hex)
      throw new AgentError(
        'ImageChecksumError',
        `cannot use ${source.name}: its ${checksum.algorithm} should be ${checksum.hex} and is ${streamed.checksum.hex}`,
      );
    job.progress({ phase: 'flush', message: checksum ? 'the image is verified' : 'nothing to verify the image with' });
    await withheld.release();
    return { format: plan.format, imageBytes: plan.imageBytes, ...streamed };
  } finally {
    // No job may write after the caller cleared the ends or closed the device. Its error was thrown already.
    await flow.drain().catch(() => undefined);
  }
}

/**
 * What `writeImage` would find, without writing: format, sizes, and whether the image fits.
 * @param device that it would go to
 * @throws AgentError as `writeImage` before it touches the disk
 */
export async function outlineImage(
  job: Pick<WriteImageJob, 'source' | 'diskFormat' | 'permittedFormats' | 'signal'>,
  device: Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'>,
): Promise<ImageOutline> {
  const plan = await makePlan(job);
  checkFits(plan, device);
  let gapBytes = 0;
  for (const { length } of plan.gaps()) gapBytes += length;
  return {
    format: plan.format,
    imageBytes: plan.imageBytes,
    fileBytes: job.source.sizeBytes,
    allocatedBytes: plan.imageBytes - gapBytes,
  };
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
    plan = await makePlan(job);
    checkFits(plan, device);
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
