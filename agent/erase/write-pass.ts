import { alignedBuffer } from '../../system/aligned.ts';
import { reasonOf } from '../../system/failure.ts';
import { patternBase, PATTERN_BYTES, stamp } from '../../evidence/pattern.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice } from '../os/door.ts';

export const BLOCK_BYTES = 4 * 1024 ** 2;
/** Blocks on their way at a time; the kernel makes several requests of each. */
const DEPTH = 2;
/** How closely a bad place is narrowed down. */
const PIECE_BYTES = 64 * 1024;
/** After so many bad pieces without one good the disk is gone, not worn. */
const MOST_BAD_IN_A_ROW = 128;

type Range = { position: number; bytes: number };

export type PassOptions = {
  kind: 'zeros' | 'pattern';
  pass: number;
  seed: string;
  /** Bytes, a multiple of 512. */
  from: number;
  /** Bytes; not the end of the disk while a journal stands there. */
  to: number;
  signal: AbortSignal;
  /**
   * Called between blocks.
   * @param position everything before it was written, as far as the disk takes it, though maybe not yet flushed
   * @param sound everything before it was written without exception
   */
  onPosition: (position: number, sound: number) => Promise<void>;
};

/** Buffers of one pass, filled for a position. Blocks are whole repetitions of the pattern, so each begins in it where the pass does. */
function createFiller({ kind, pass, seed, from }: PassOptions): {
  buffer: () => Buffer;
  fill: (buffer: Buffer, position: number) => void;
} {
  if (kind === 'zeros') return { buffer: () => alignedBuffer(BLOCK_BYTES), fill: () => undefined };
  const start = from % PATTERN_BYTES;
  const repeated = patternBase(seed);
  const base = Buffer.concat([repeated.subarray(start), repeated.subarray(0, start)]);
  return {
    buffer: () => {
      const buffer = alignedBuffer(BLOCK_BYTES);
      for (let at = 0; at < buffer.length; at += PATTERN_BYTES) base.copy(buffer, at);
      return buffer;
    },
    fill: (buffer, position) => stamp(buffer, position, pass),
  };
}

/** Writes what can be written of a block that could not be written whole. @returns the pieces that could not */
async function writePieces(device: BlockDevice, block: Buffer, position: number): Promise<Range[]> {
  const bad: Range[] = [];
  for (let at = 0; at < block.length; at += PIECE_BYTES) {
    const piece = block.subarray(at, at + PIECE_BYTES);
    try {
      await device.write(piece, position + at);
    } catch {
      bad.push({ position: position + at, bytes: piece.length });
    }
  }
  return bad;
}

/**
 * Overwrites a range of the disk once, past the page cache, with several blocks on their way.
 * @returns what could not be written
 * @throws the signal's reason between two blocks, or AgentError `BlockDeviceEraseError` when the disk is gone
 */
export async function writePass(device: BlockDevice, options: PassOptions): Promise<Range[]> {
  const { from, to, signal, onPosition } = options;
  const filler = createFiller(options);
  const unwritable: Range[] = [];
  const running = new Set<number>();
  let next = from;
  let badInARow = 0;

  const writeOne = async (buffer: Buffer): Promise<void> => {
    const position = next;
    const block = buffer.subarray(0, Math.min(BLOCK_BYTES, to - position));
    next += block.length;
    running.add(position);
    filler.fill(block, position);
    try {
      await device.write(block, position);
      badInARow = 0;
    } catch (error) {
      const bad = await writePieces(device, block, position);
      unwritable.push(...bad);
      badInARow = bad.length * PIECE_BYTES >= block.length ? badInARow + bad.length : 0;
      if (badInARow > MOST_BAD_IN_A_ROW)
        throw new AgentError(
          'BlockDeviceEraseError',
          `cannot overwrite ${device.path} any further: ${reasonOf(error)}`,
          { cause: error },
        );
    }
    running.delete(position);
  };

  // One after the other: what is noted on the disk must not go back.
  let last = Promise.resolve();
  const report = async (before: Promise<void>): Promise<void> => {
    await before;
    const position = Math.min(next, ...running);
    await onPosition(position, Math.min(position, ...unwritable.map((range) => range.position)));
  };
  const lane = async (): Promise<void> => {
    const buffer = filler.buffer();
    for (let isMore = next < to; isMore; isMore = next < to) {
      signal.throwIfAborted();
      await writeOne(buffer);
      last = report(last);
      await last;
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: DEPTH }, lane));
  for (const one of lanes) if (one.status === 'rejected') throw one.reason;
  return unwritable.toSorted((a, b) => a.position - b.position);
}
