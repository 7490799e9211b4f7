import type { Filter } from '../../system/filter.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { BOOT_BYTES, checkBootSectors } from './boot-sectors.ts';
import { type ImageContents, openContents } from './contents.ts';
import type { Flow } from './flow.ts';
import type { Gap } from './gaps.ts';
import { mayBeFixedVhd, VHD_FOOTER_BYTES } from './containers.ts';
import { checkPermitted, checkTail, decideFormat } from './format.ts';
import { createQcow2Placer } from './place-qcow2.ts';
import { createRawPlacer, type Placer } from './place-raw.ts';
import { readQcow2Boot } from './qcow2-boot.ts';
import { readQcow2Header } from './qcow2-header.ts';
import { readQcow2Map } from './qcow2-tables.ts';
import type { ImageSource } from './source.ts';
import { createUnpacker } from './unpacker.ts';
import type { WithheldDevice } from './withheld.ts';

/** The disk that an image is for. */
export type Target = Pick<BlockDevice, 'path' | 'sizeBytes' | 'sectorBytes'>;

/** What has to be known of an image to say how it is written. */
export type PlanJob = {
  source: ImageSource;
  diskFormat: string | null | undefined;
  /** Formats that may be written (`permitted_image_formats`); any without it. */
  permittedFormats?: readonly string[] | undefined;
  /** The image is a bare file system, for a partition, and need not begin with a partition table. */
  isFileSystem?: boolean;
  /** Runs the programs that unpack what Node cannot. */
  filter: Filter;
  signal: AbortSignal;
};

/** How an image of one format gets onto a device. */
export type Plan = {
  format: 'raw' | 'qcow2';
  contents: ImageContents;
  /** Undefined when only the end of the file will tell. */
  imageBytes: number | undefined;
  boot: Buffer;
  /** Ranges that the file has no bytes for; they read as zeros. */
  gaps: () => Iterable<Gap>;
  gapBytes: number;
  placer: (device: WithheldDevice, flow: Flow, isZeroedAhead: boolean) => Placer;
};

/**
 * A qcow2 is a little larger than what it holds, or much, with snapshots; a compressed one that unpacks to far more than the disk is
 * no image that anybody made.
 */
function mostFileBytes(target: Target): number {
  return 2 * target.sizeBytes + 64 * 1024 ** 2;
}

export function tooLarge(target: Target, size: string, isFileSystem: boolean | undefined): AgentError {
  if (isFileSystem)
    return new AgentError(
      'InvalidCommandParamsError',
      `Root partition is too small for requested image: it is ${size} bytes, ${target.path} has ${target.sizeBytes}; ask for more by root_gb`,
    );
  return new AgentError(
    'InvalidImage',
    `cannot write the image to ${target.path}: it is ${size} bytes, the disk has ${target.sizeBytes}; take a larger one (of a node’s disks root device hints choose)`,
  );
}

async function planQcow2(contents: ImageContents, target: Target, job: PlanJob): Promise<Plan> {
  const { signal } = job;
  const header = readQcow2Header(contents.head, contents.sizeBytes);
  const { sizeBytes } = header;
  // Before its tables are read: they are as large as the disk that they describe.
  if (sizeBytes > target.sizeBytes) throw tooLarge(target, String(sizeBytes), job.isFileSystem);
  const map = await readQcow2Map(contents, header, signal);
  return {
    format: 'qcow2',
    contents,
    imageBytes: sizeBytes,
    boot: await readQcow2Boot(map, contents, signal),
    gaps: () => map.gaps.all(),
    gapBytes: map.gaps.guestBytes,
    placer: (device, flow) =>
      createQcow2Placer(map, device, flow, createUnpacker(header.compression, header.clusterBytes, contents.sizeBytes)),
  };
}

/** Looks at the end of a raw file, where that costs no pass over all of it. */
async function checkEnd({ sizeBytes, compression, read }: ImageContents, { source, signal }: PlanJob): Promise<void> {
  if (compression || !source.hasRanges || sizeBytes === undefined || !mayBeFixedVhd(sizeBytes)) return;
  const end = { position: sizeBytes - VHD_FOOTER_BYTES, length: VHD_FOOTER_BYTES };
  for await (const tail of read([end], signal)) checkTail(Buffer.from(tail));
}

/**
 * Finds out what an image is, and refuses it if it is nothing for this disk. Nothing is written.
 * @throws AgentError `InvalidImage`, `ImageDownloadError`
 */
export async function makePlan(job: PlanJob, target: Target): Promise<Plan> {
  const { source, signal, filter } = job;
  const contents = await openContents(source, { filter, mostBytes: mostFileBytes(target) }, signal);
  const format = decideFormat(contents.head, job.diskFormat);
  if (job.permittedFormats) checkPermitted(format, job.permittedFormats);
  if (format === 'raw') await checkEnd(contents, job);
  if (source.sizeBytes === undefined && format === 'raw' && !contents.compression)
    throw new AgentError(
      'ImageDownloadError',
      `cannot write ${source.name}: the server does not say how long it is (no Content-Length)`,
    );
  const plan: Plan =
    format === 'qcow2'
      ? await planQcow2(contents, target, job)
      : {
          format,
          contents,
          imageBytes: contents.sizeBytes,
          boot: Buffer.from(contents.head.subarray(0, BOOT_BYTES)),
          gaps: () => [],
          gapBytes: 0,
          placer: createRawPlacer,
        };
  const isTooLarge = (plan.imageBytes ?? 0) > target.sizeBytes;
  if (isTooLarge) throw tooLarge(target, String(plan.imageBytes), job.isFileSystem);
  if (!job.isFileSystem) checkBootSectors(plan.boot, target.sectorBytes);
  return plan;
}

/** What an image is, as far as it can be told without reading all of it. */
export type ImageOutline = Pick<Plan, 'format' | 'imageBytes'> & {
  /** What is around it. */
  compression: ImageContents['compression'];
  /** Of the file; undefined where the server does not say. */
  fileBytes: number | undefined;
  /** Bytes of the image that the file has data for; the rest reads as zeros. Undefined as `imageBytes` is. */
  allocatedBytes: number | undefined;
};

/**
 * What `writeImage` would find, without writing: format, sizes, and whether the image fits.
 * @throws AgentError as `writeImage` before it touches the disk
 */
export async function outlineImage(job: PlanJob, target: Target): Promise<ImageOutline> {
  const plan = await makePlan(job, target);
  return {
    format: plan.format,
    compression: plan.contents.compression,
    imageBytes: plan.imageBytes,
    fileBytes: job.source.sizeBytes,
    allocatedBytes: plan.imageBytes === undefined ? undefined : plan.imageBytes - plan.gapBytes,
  };
}
