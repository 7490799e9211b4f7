import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { writeAtomically } from '../system/files.ts';
import { reasonOf } from '../system/failure.ts';
import { builderFailure } from './failures.ts';
import { explainWriteError } from './host/failures.ts';

export type OutputFile = {
  path: string;
  bytes: number;
  sha256: string;
  /** It was there already, byte for byte. */ unchanged: boolean;
};

const ELSEWHERE = 'free some space, or name another place with --output NAME';

/** SHA-256 of a file, hex. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}

async function digestOf(pieces: () => AsyncIterable<Uint8Array>): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of pieces()) {
    hash.update(piece);
    bytes += piece.byteLength;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/**
 * Writes a file in one go, or leaves it alone when it is there already with the same bytes.
 * @param pieces may be called more than once
 * @throws Failure `OUTPUT_UNWRITABLE`, `DISK_FULL`
 */
export async function writeOutput(
  path: string,
  pieces: () => AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<OutputFile> {
  const facts = await digestOf(pieces);
  const before = await stat(path).catch(() => undefined);
  if (before?.isFile() && before.size === facts.bytes && (await fileDigest(path)) === facts.sha256)
    return { path, ...facts, unchanged: true };
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeAtomically(path, async (temporary) => {
      const file = await open(temporary, 'w', 0o644);
      try {
        for await (const piece of pieces()) {
          signal.throwIfAborted();
          await file.writeFile(piece);
        }
      } finally {
        await file.close();
      }
    });
  } catch (error) {
    signal.throwIfAborted();
    throw explainOutput(error, path);
  }
  return { path, ...facts, unchanged: false };
}

function explainOutput(error: unknown, path: string): unknown {
  const explained = explainWriteError(error, path, ELSEWHERE);
  return explained === error
    ? builderFailure('OUTPUT_UNWRITABLE', `${path}: ${reasonOf(error)}`, { cause: error })
    : explained;
}

/**
 * Lets something write a file in a folder of its own beside the final place, and puts it there when it is whole; one that is there
 * already with the same bytes stays.
 * @param make gets the empty folder, and the path of the file to write
 * @throws Failure `OUTPUT_UNWRITABLE`, `DISK_FULL`, and those of `make`
 */
export async function makeOutput(
  path: string,
  make: (folder: string, file: string) => Promise<void>,
  signal: AbortSignal,
): Promise<OutputFile> {
  await mkdir(dirname(path), { recursive: true }).catch((error: unknown) => Promise.reject(explainOutput(error, path)));
  const folder = await mkdtemp(join(dirname(path), '.ingot-')).catch((error: unknown) =>
    Promise.reject(explainOutput(error, path)),
  );
  try {
    const file = join(folder, 'made');
    await make(folder, file);
    const facts = { bytes: (await stat(file)).size, sha256: await fileDigest(file) };
    const before = await stat(path).catch(() => undefined);
    if (before?.isFile() && before.size === facts.bytes && (await fileDigest(path)) === facts.sha256)
      return { path, ...facts, unchanged: true };
    await rename(file, path);
    return { path, ...facts, unchanged: false };
  } catch (error) {
    signal.throwIfAborted();
    throw explainWriteError(error, path, ELSEWHERE);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** As `writeOutput`, for text. */
export async function writeOutputText(path: string, text: string, signal: AbortSignal): Promise<OutputFile> {
  async function* once() {
    yield await Promise.resolve(Buffer.from(text));
  }
  return writeOutput(path, once, signal);
}
