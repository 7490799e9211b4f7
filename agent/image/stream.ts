import type { CommandProgress } from '../api/command.ts';
import type { BlockDevice } from '../os/door.ts';
import { BLOCK_BYTES, toBlocks } from './blocks.ts';
import type { Checksum } from './checksum.ts';
import { createFlow, createRing, type Flow } from './flow.ts';
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
async function* hashedBlocks(job: StreamJob, ringBlocks: number, hasher: Hasher, hashing: Flow) {
  const { source, signal, progress } = job;
  const total = source.sizeBytes === undefined ? {} : { total: source.sizeBytes };
  for await (const block of toBlocks(source.stream(signal), createRing(ringBlocks, BLOCK_BYTES))) {
    signal.throwIfAborted();
    block.hold();
    await hashing.start(block.bytes.length, () => hasher.update(block.bytes).finally(block.release));
    const done = block.position + block.bytes.length;
    yield block;
    progress({ phase: 'write image', done, ...total, unit: 'bytes' });
  }
}

/**
 * Source, progress, hash, decompression, format: one pass over the file, until everything is placed.
 * @param placer takes what the file holds; the caller drains what it started
 * @throws what the source, the decompressor, the placer or the device throws
 */
export async function streamImage(job: StreamJob, plan: Plan, placer: Placer): Promise<Streamed> {
  const { device, signal } = job;
  const { compression, unpack } = plan.contents;
  const ringBlocks = compression ? RING_BLOCKS_EACH : RING_BLOCKS;
  const algorithm = job.checksum?.algorithm ?? UNCHECKED_ALGORITHM;
  const hasher = createHasher(algorithm, job.source.sizeBytes);
  const hashing = createFlow(RING_BLOCKS * BLOCK_BYTES);
  let fileBytes = 0;
  const file = async function* () {
    for await (const block of hashedBlocks(job, ringBlocks, hasher, hashing)) {
      fileBytes += block.bytes.length;
      yield block;
    }
  };
  /** A decompressor that asks for the next piece is done with the one before. */
  const chunks = async function* () {
    for await (const block of file()) {
      yield block.bytes;
      block.release();
    }
  };
  const blocks = compression ? toBlocks(unpack(chunks(), signal), createRing(ringBlocks, BLOCK_BYTES)) : file();
  try {
    let end = 0;
    for await (const block of blocks) {
      end = block.position + block.bytes.length;
      if (plan.imageBytes === undefined && end > device.sizeBytes)
        throw tooLarge(device, `more than ${end - 1}`, job.isFileSystem);
      await placer.place(block);
    }
    await placer.finish();
    await hashing.drain();
    const hex = await hasher.digest();
    return { fileBytes, imageBytes: plan.imageBytes ?? end, checksum: { algorithm, hex } };
  } finally {
    await hasher.close();
  }
}
