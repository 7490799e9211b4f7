import type { CommandProgress } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { remainderWithin } from './crc.ts';
import { createFlow } from './flow.ts';
import { Strata } from './samples.ts';
import type { Medium } from './medium.ts';

/**
 * How much of what was written is read back before the disk can boot: nothing, some hundred places spread over data and zeros, or
 * every byte. The two ends of the image, where its partition tables are, are always read back.
 */
export const VERIFY_LEVELS = ['none', 'sample', 'full'] as const;
export type VerifyLevel = (typeof VERIFY_LEVELS)[number];

/**
 * Reads a level as people and parameters give it.
 * @returns undefined when nothing is said
 * @throws AgentError `InvalidCommandParamsError`
 */
export function readVerifyLevel(text: string | undefined): VerifyLevel | undefined {
  if (text === undefined || text === '') return undefined;
  const level = VERIFY_LEVELS.find((name) => name === text.toLowerCase());
  if (level) return level;
  throw new AgentError(
    'InvalidCommandParamsError',
    `cannot verify as "${text}" says (verify): only ${VERIFY_LEVELS.join(', ')} are known`,
  );
}

/** What a read-back looked at. With the seed the same places are chosen again. */
export type VerifiedWrite = { level: VerifyLevel; seed: number; bytes: number };

type Range = { from: number; to: number };
type Report = { signal: AbortSignal; progress: (progress: CommandProgress) => void };

export type Verifier = {
  /** The medium, every write to which is remembered. No place is written twice. */
  medium: Medium;
  /**
   * Reads back, past the page cache, what went to a range through `medium`; all of the range must have been written or zeroed.
   * @returns bytes that were compared
   * @throws AgentError `ImageWriteError` that names the place
   */
  check: (range: Range, report: Report) => Promise<number>;
};

export const SAMPLE_BYTES = 4096;
const MOST_DATA_SAMPLES = 512;
const MOST_ZERO_SAMPLES = 256;
/** A disk that turns sorts them, and others answer several at once. */
const SAMPLES_AT_A_TIME = 8;
/** One remainder for each block of this size; for very large images of a multiple of it, so that there are at most a million. */
const BLOCK_BYTES = 1024 ** 2;
const MOST_BLOCKS = 2 ** 20;

type Device = { path: string; sizeBytes: number; sectorBytes: number };

function differs({ path, sectorBytes }: Device, position: number, length: number): AgentError {
  const [first, last] = [position, position + length - 1].map((at) => Math.floor(at / sectorBytes));
  return new AgentError(
    'ImageWriteError',
    `cannot trust ${path}: it took all writes, but what it reads back at LBA ${first} to ${last} (sectors of ${sectorBytes} bytes) is something else; replace the disk`,
  );
}

function createNoVerifier(medium: Medium): Verifier {
  return { medium, check: async () => 0 };
}

type Sample = { position: number; length: number; bytes: Buffer | undefined };

function createSampler(medium: Medium, device: Device, seed: number): Verifier {
  const data = new Strata<Sample>(MOST_DATA_SAMPLES, seed);
  const zeros = new Strata<Sample>(MOST_ZERO_SAMPLES, seed + 1);
  return {
    medium: {
      ...medium,
      write: (buffer, position) => {
        data.pass(buffer.length, (offset) => {
          const from = Math.max(0, Math.min(offset, buffer.length - SAMPLE_BYTES));
          const bytes = Buffer.from(buffer.subarray(from, from + SAMPLE_BYTES));
          return { position: position + from, length: bytes.length, bytes };
        });
        return medium.write(buffer, position);
      },
      zero: (position, lengthBytes) => {
        zeros.pass(lengthBytes, (offset) => ({
          position: position + offset,
          length: Math.min(SAMPLE_BYTES, lengthBytes - offset),
          bytes: undefined,
        }));
        return medium.zero(position, lengthBytes);
      },
    },
    check: async (range, { signal, progress }) => {
      const samples = [...data.kept, ...zeros.kept]
        .filter(({ position, length }) => position >= range.from && position + length <= range.to)
        .toSorted((a, b) => a.position - b.position);
      let [bytes, done] = [0, 0];
      const look = async ({ position, length, bytes: written }: Sample) => {
        const back = Buffer.alloc(length);
        await medium.readBack(back, position);
        if (!back.equals(written ?? Buffer.alloc(length))) throw differs(device, position, length);
        bytes += length;
        progress({ phase: 'verify', done: ++done, total: samples.length, unit: 'samples' });
      };
      const flow = createFlow(SAMPLES_AT_A_TIME);
      try {
        for (const sample of samples) {
          signal.throwIfAborted();
          await flow.start(1, () => look(sample));
        }
        await flow.drain();
      } finally {
        // Nothing reads after the caller closed the device.
        await flow.drain().catch(() => undefined);
      }
      return bytes;
    },
  };
}

/** Zeros count nothing in a remainder, so only what is not zero has to be remembered. */
function createFullVerifier(medium: Medium, device: Device): Verifier {
  const scale = 2 ** Math.max(0, Math.ceil(Math.log2(device.sizeBytes / BLOCK_BYTES / MOST_BLOCKS)));
  const blockBytes = BLOCK_BYTES * scale;
  const remainders = new Int32Array(Math.ceil(device.sizeBytes / blockBytes));
  const add = (sums: Int32Array, bytes: Uint8Array, position: number) => {
    for (let done = 0; done < bytes.length;) {
      const block = Math.floor((position + done) / blockBytes);
      const part = bytes.subarray(done, (block + 1) * blockBytes - position);
      done += part.length;
      sums[block] = (sums[block] ?? 0) ^ remainderWithin(part, (block + 1) * blockBytes - position - done);
    }
  };
  return {
    medium: {
      ...medium,
      write: (buffer, position) => {
        add(remainders, buffer, position);
        return medium.write(buffer, position);
      },
    },
    check: async ({ from, to }, { signal, progress }) => {
      const found = new Int32Array(remainders.length);
      const buffer = Buffer.alloc(BLOCK_BYTES);
      for (let position = from; position < to;) {
        signal.throwIfAborted();
        const part = buffer.subarray(0, Math.min(BLOCK_BYTES - (position % BLOCK_BYTES), to - position));
        await medium.readBack(part, position);
        add(found, part, position);
        const block = Math.floor(position / blockBytes);
        position += part.length;
        const isBlockDone = position === to || position % blockBytes === 0;
        if (isBlockDone && found[block] !== remainders[block])
          throw differs(
            device,
            Math.max(from, block * blockBytes),
            Math.min(blockBytes, position - block * blockBytes),
          );
        progress({ phase: 'verify', done: position - from, total: to - from, unit: 'bytes' });
      }
      return to - from;
    },
  };
}

/**
 * Remembers what is written, to compare it with what the disk has afterwards.
 * @param seed chooses the samples
 */
export function createVerifier(level: VerifyLevel, medium: Medium, device: Device, seed: number): Verifier {
  if (level === 'none') return createNoVerifier(medium);
  return level === 'full' ? createFullVerifier(medium, device) : createSampler(medium, device, seed);
}
