import { randomBytes } from 'node:crypto';

import type { Run } from '../../system/run.ts';
import type { ZeroAbility, ZeroMethod } from './door.ts';
import { flush, type Opened, rangeError, readBack, write } from './transfer.ts';

const MIB = 1024 ** 2;
/** Shorter ranges are zeroed by writing: starting a program costs more than that. */
const LEAST_BYTES_FOR_A_PROGRAM = 4 * MIB;
const ZEROS = Buffer.alloc(MIB);
/** So much is made dirty, zeroed and read back to see whether a method tells the truth. */
const TRIAL_BYTES = MIB;

/** An opened device, how programs are run on it, and the way of making zeros that it is known to have. */
export type ZeroingDevice = Opened & { run: Run; zeroMethod: ZeroMethod };

type Range = { position: number; length: number };

type Method = {
  isOffloaded: boolean;
  /** Whether what the kernel says of the device leaves a chance. */
  mayWork: (device: Opened) => boolean;
  /** Throws where the device refuses; then nothing is known about the range. */
  apply: (device: ZeroingDevice, range: Range) => Promise<void>;
};

async function writeZeros(device: Opened, { position, length }: Range): Promise<void> {
  for (let done = 0; done < length; done += ZEROS.length)
    await write(device, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)), position + done);
}

/** What does not read as zeros is written: a discard is advice to the disk, which may ignore all of it or the ends of it. */
async function mendByReading(device: Opened, { position, length }: Range): Promise<void> {
  const bytes = Buffer.alloc(Math.min(MIB, length));
  for (let done = 0; done < length; done += bytes.length) {
    const part = bytes.subarray(0, Math.min(bytes.length, length - done));
    await readBack(device, part, position + done);
    if (!part.equals(ZEROS.subarray(0, part.length)))
      await writeZeros(device, { position: position + done, length: part.length });
  }
}

function options({ position, length }: Range): string[] {
  return ['--offset', String(position), '--length', String(length)];
}

/**
 * Best first. On block devices punching a hole is WRITE ZEROES with leave to unmap and without falling back to writing
 * (block/fops.c: FALLOC_FL_PUNCH_HOLE is BLKDEV_ZERO_NOFALLBACK); BLKZEROOUT does the same and writes zeros where the device cannot.
 * `--force`: our own exclusive handle would make blkdiscard's second one fail.
 */
const METHODS: Readonly<Record<ZeroMethod, Method>> = {
  'punch-hole': {
    isOffloaded: true,
    mayWork: ({ isBlockDevice, writeZeroesMaxBytes }) => !isBlockDevice || writeZeroesMaxBytes > 0,
    apply: async ({ run, path }, range) => void (await run('fallocate', ['--punch-hole', ...options(range), path])),
  },
  discard: {
    isOffloaded: true,
    mayWork: ({ discardMaxBytes }) => discardMaxBytes > 0,
    apply: async (device, range) => {
      await device.run('blkdiscard', ['--force', ...options(range), device.path]);
      await mendByReading(device, range);
    },
  },
  zeroout: {
    isOffloaded: false,
    mayWork: ({ isBlockDevice }) => isBlockDevice,
    apply: async ({ run, path }, range) =>
      void (await run('blkdiscard', ['--zeroout', '--force', ...options(range), path])),
  },
  write: { isOffloaded: false, mayWork: () => true, apply: writeZeros },
};

/** How zeros are made on a device that was not tried: right everywhere, by the contract of the system call. */
export function untriedMethod({ isBlockDevice }: Opened): ZeroMethod {
  return isBlockDevice ? 'zeroout' : 'punch-hole';
}

async function apply(device: ZeroingDevice, method: ZeroMethod, range: Range): Promise<void> {
  // The kernel refuses (EBUSY) while pages of the range wait to be written.
  if (device.isDirty) await flush(device);
  await METHODS[method].apply(device, range);
}

/** Makes a range zero; where the device's own way fails, by writing. */
export async function zero(device: ZeroingDevice, position: number, length: number): Promise<void> {
  if (position < 0 || position + length > device.sizeBytes) throw rangeError('zero', device, position, length);
  const range = { position, length };
  if (length < LEAST_BYTES_FOR_A_PROGRAM) return writeZeros(device, range);
  try {
    await apply(device, device.zeroMethod, range);
  } catch (error) {
    if (device.zeroMethod === 'write') throw error;
    await writeZeros(device, range);
  }
}

async function isZero(device: Opened, { position, length }: Range): Promise<boolean> {
  const bytes = Buffer.alloc(length);
  await readBack(device, bytes, position);
  return bytes.equals(Buffer.alloc(length));
}

/** Zeroes what was just made dirty; says how long it took if the disk then really has zeros there. */
async function tryMethod(device: ZeroingDevice, method: ZeroMethod, range: Range): Promise<number | undefined> {
  const dirt = Buffer.alloc(range.length, randomBytes(4096));
  await write(device, dirt, range.position);
  await flush(device);
  const begin = performance.now();
  try {
    await apply(device, method, range);
  } catch {
    return undefined;
  }
  const tookMs = performance.now() - begin;
  return (await isZero(device, range)) ? tookMs : undefined;
}

/**
 * Tries the methods that the kernel's description of the device leaves, best first, on the range's beginning: it is written, zeroed
 * and read back past the page cache. Then the whole range is zeroed once, to see how fast that is.
 * @throws AgentError when the device cannot be written or read
 */
export async function tryZeroing(device: ZeroingDevice, position: number, length: number): Promise<ZeroAbility> {
  if (position < 0 || position + length > device.sizeBytes) throw rangeError('zero', device, position, length);
  const trial = { position, length: Math.min(TRIAL_BYTES, length) };
  for (const [name, { mayWork, isOffloaded }] of Object.entries(METHODS) as [ZeroMethod, Method][]) {
    if (!isOffloaded || !mayWork(device)) continue;
    const startMs = await tryMethod(device, name, trial);
    if (startMs === undefined) continue;
    device.zeroMethod = name;
    const begin = performance.now();
    await zero(device, position, length);
    const tookMs = Math.max(1, performance.now() - begin - startMs);
    return { method: name, isOffloaded, startMs, bytesPerSecond: (length / tookMs) * 1000, zeroedBytes: length };
  }
  // A disk that cannot is not tried: the kernel writes zeros, or we do.
  device.zeroMethod = METHODS.zeroout.mayWork(device) ? 'zeroout' : 'write';
  await writeZeros(device, trial);
  return { method: device.zeroMethod, isOffloaded: false, startMs: 0, bytesPerSecond: 0, zeroedBytes: trial.length };
}
