import { alignedBuffer } from '../../system/aligned.ts';
import type { CommandProgress } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';
import { type Block, BLOCK_BYTES, toBlocks } from './blocks.ts';
import type { Checksum } from './checksum.ts';
import { createFlow, createRing, type Flow, type Ring } from './flow.ts';
import { createHasher, type Hasher } from './hasher.ts';
import type { Placer } from './place-raw.ts';
import { type Plan, tooLarge } from './plan.ts';
import type { ImageSource } from './source.ts';

const RING_BLOCKS = 8;
/** With a decompressor in between there are two rings, and it is slower than either. */
const RING_BLOCKS_EACH = 4;
const UNCHECKED_ALGORITHM = 'sha256';

type StreamJob = {
  source: ImageSource;
  checksum: Checksum | undefined;
  device: BlockDevice;
  isFileSystem?: boolean;
  progress: (progress: CommandProgress) => void;
  signal: AbortSignal;
};

/** What one pass over the file found. Bytes of the file, bytes of the image, and what the file hashed to. */
export type Streamed = { fileBytes: number; imageBytes: number; checksum: Checksum };

/** The file in blocks, each of which is being hashed while the receiver works on it. */
async function* hashedBlocks(job: StreamJob, ring: Ring, hasher: Hasher, hashing: Flow): AsyncGenerator<Block, void> {
  const { source, signal, progress } = job;
  const total = source.sizeBytes === undefined ? {} : { total: source.sizeBytes };
  for await (const block of toBlocks(source.stream(signal), ring)) {
    signal.throwIfAborted();
    block.hold();
    await hashing.start(block.bytes.length, () => hasher.update(block.bytes).finally(block.release));
    const done = block.position + block.bytes.length;
    yield block;
    progress({ phase: 'write image', done, ...total, unit: 'bytes' });
  }
}

/** The pieces of blocks for a decompressor: when it asks for the next one, it is done with the one before. When it ends, the file goes on. */
async function* piecesOf(file: AsyncGenerator<Block, void>): AsyncGenerator<Uint8Array, void> {
  for (let next = await file.next(); !next.done; next = await file.next()) {
    yield next.value.bytes;
    next.value.release();
  }
}

/** Reads on for the hash alone. What failed may hold blocks for ever, so there are two more. */
async function hashRest(file: AsyncGenerator<Block, void>, ring: Ring): Promise<void> {
  for (let count = 0; count < 2; count++) ring.giveBack(alignedBuffer(BLOCK_BYTES));
  for (let next = await file.next(); !next.done; next = await file.next()) next.value.release();
}

/** What comes out of the file, block by block to its place. @returns bytes of the image */
async function placeAll(
  blocks: AsyncGenerator<Block, void>,
  placer: Placer,
  check: (end: number) => void,
): Promise<number> {
  let end = 0;
  for (let next = await blocks.next(); !next.done; next = await blocks.next()) {
    end = next.value.position + next.value.bytes.length;
    check(end);
    await placer.place(next.value);
  }
  await placer.finish();
  return end;
}

/**
 * Source, progress, hash, decompression, format: one pass over the file, until everything is placed, and the comparison of its hash. A file
 * that cannot be unpacked, or makes no sense, is read to its end all the same: when its hash is wrong, too, it was damaged on its way, and
 * that is what is thrown.
 * @param placer takes what the file holds; the caller drains what it started
 * @throws AgentError `ImageChecksumError`; what the source, the decompressor, the placer or the device throws
 */
export async function streamImage(job: StreamJob, plan: Plan, placer: Placer): Promise<Streamed> {
  const { device, signal, checksum } = job;
  const { compression, unpack } = plan.contents;
  const ringBlocks = compression ? RING_BLOCKS_EACH : RING_BLOCKS;
  const algorithm = checksum?.algorithm ?? UNCHECKED_ALGORITHM;
  const hasher = createHasher(algorithm, job.source.sizeBytes);
  const hashing = createFlow(RING_BLOCKS * BLOCK_BYTES);
  const ring = createRing(ringBlocks, BLOCK_BYTES);
  const file = hashedBlocks(job, ring, hasher, hashing);
  let fileBytes = 0;
  const counted = async function* () {
    for (let next = await file.next(); !next.done; next = await file.next()) {
      fileBytes += next.value.bytes.length;
      yield next.value;
    }
  };
  const blocks = compression
    ? toBlocks(unpack(piecesOf(counted()), signal), createRing(ringBlocks, BLOCK_BYTES))
    : counted();
  const digest = async () => {
    await hashing.drain();
    const hex = await hasher.digest();
    if (checksum && hex !== checksum.hex)
      throw new AgentError(
        'ImageChecksumError',
        `cannot use ${job.source.name}: its ${algorithm} should be ${checksum.hex} and is ${hex}`,
      );
    return hex;
  };
  let refused: AgentError | undefined;
  const check = (end: number) => {
    if (plan.imageBytes !== undefined || end <= device.sizeBytes) return;
    refused = tooLarge(device, `more than ${end - 1}`, job.isFileSystem);
    throw refused;
  };
  try {
    const end = await placeAll(blocks, placer, check).catch(async (error: unknown) => {
      const isOfContent = error instanceof AgentError && error.type === 'InvalidImage' && error !== refused;
      if (!checksum || !isOfContent) throw error;
      await blocks.return(undefined);
      await hashRest(file, ring);
      await digest();
      throw error;
    });
    return { fileBytes, imageBytes: plan.imageBytes ?? end, checksum: { algorithm, hex: await digest() } };
  } finally {
    await blocks.return(undefined);
    // Not waited for: a server may be silent, and whoever opened the source closes it.
    void file.return(undefined).catch(() => undefined);
    await hasher.close();
  }
}
