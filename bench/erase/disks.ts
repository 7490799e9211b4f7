import { open, type FileHandle } from 'node:fs/promises';

import { patternBase, PATTERN_BYTES, stamp } from '../../evidence/pattern.ts';

const PIECE_BYTES = 4 * 2 ** 20;
const SECTOR_BYTES = 512;

async function inPieces(file: FileHandle, sizeBytes: number, signal: AbortSignal, piece: (at: number) => Buffer) {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    signal.throwIfAborted();
    const bytes = piece(at).subarray(0, sizeBytes - at);
    await file.write(bytes, 0, bytes.length, at);
  }
}

/** A file of just what an overwrite with this seed writes in its first pass. */
export async function writePattern(path: string, seed: string, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const base = patternBase(seed);
  const buffer = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < buffer.length; at += PATTERN_BYTES) base.copy(buffer, at);
  const file = await open(path, 'w');
  try {
    await inPieces(file, sizeBytes, signal, (at) => {
      stamp(buffer, at, 0);
      return buffer;
    });
  } finally {
    await file.close();
  }
}

/** How many sectors of a disk are what they are in a file that was on it before. */
export async function sectorsLeft(disk: string, before: string, signal: AbortSignal): Promise<number> {
  const [now, then] = [await open(disk, 'r'), await open(before, 'r')];
  try {
    const [a, b] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
    let left = 0;
    for (let at = 0; ; at += PIECE_BYTES) {
      signal.throwIfAborted();
      const { bytesRead } = await then.read(b, 0, PIECE_BYTES, at);
      if (bytesRead === 0) return left;
      if ((await now.read(a, 0, bytesRead, at)).bytesRead !== bytesRead)
        throw new Error(`${disk} is shorter than it was`);
      for (let offset = 0; offset < bytesRead; offset += SECTOR_BYTES)
        if (a.compare(b, offset, offset + SECTOR_BYTES, offset, offset + SECTOR_BYTES) === 0) left += 1;
    }
  } finally {
    await now.close();
    await then.close();
  }
}
