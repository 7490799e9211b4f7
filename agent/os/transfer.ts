import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { alignedBuffer, ALIGNED_BYTES, copyInto, isAligned } from '../../system/aligned.ts';
import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { Geometry } from './geometry.ts';
import { createLimit } from './limit.ts';

/**
 * Node has four threads for all files, and for the names of hosts, or as many as UV_THREADPOOL_SIZE says (in the ramdisk
 * /etc/ingot/agent does). Disks get all but two of them: one that is slow or hangs must not stand between the heartbeat and the name of
 * the API, or between a command and its place in the history.
 */
const DISK_THREADS = Math.max(2, (Number(process.env['UV_THREADPOOL_SIZE']) || 4) - 2);
export const onDiskThread = createLimit(DISK_THREADS);

/**
 * Writes past the page cache are whole multiples of this, and so are their positions: the largest page of any Linux. A page that
 * is half written through the cache and half past it would be written back whole, with what the other half had before.
 */
const DIRECT_BYTES = 64 * 1024;
const BOUNCE_BYTES = 1024 ** 2;
/** Taken and given back on a disk thread, so there are never more. */
const bounces: Buffer[] = [];

/** An opened device and how it is read and written at the moment. */
export type Opened = Geometry & {
  path: string;
  handle: FileHandle;
  /** The same device past the page cache; undefined where that does not work (tmpfs of old kernels). */
  direct: FileHandle | undefined;
  /** Pages of the cache may be waiting to be written. */
  isDirty: boolean;
};

/**
 * Opens the device behind a handle once more, with O_DIRECT: image writing must neither fill a small machine's memory with dirty
 * pages nor be verified against them.
 */
export async function openDirect(handle: FileHandle, mode: 'read' | 'write'): Promise<FileHandle | undefined> {
  const access = mode === 'read' ? constants.O_RDONLY : constants.O_RDWR;
  try {
    // By the descriptor and not by the path, which may be another device by now.
    return await open(`/proc/self/fd/${handle.fd}`, access | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}

export function rangeError(
  doing: string,
  { path, sizeBytes }: Pick<Opened, 'path' | 'sizeBytes'>,
  position: number,
  length: number,
): AgentError {
  return new AgentError(
    'BlockDeviceError',
    `cannot ${doing} ${length} bytes at byte ${position} of ${path}: it ends at byte ${sizeBytes}`,
  );
}

type Doing = 'read' | 'write';

function transferError(device: Opened, doing: Doing, position: number, length: number, error: unknown): AgentError {
  const { path, sectorBytes } = device;
  const [first, last] = [position, position + length - 1].map((at) => Math.floor(at / sectorBytes));
  const where = first === last ? `LBA ${first}` : `LBA ${first} to ${last}`;
  return new AgentError(
    'BlockDeviceError',
    `cannot ${doing} ${path} at ${where} (sectors of ${sectorBytes} bytes): ${reasonOf(error)}; replace the disk if the kernel's log has errors of it`,
    { cause: error },
  );
}

/** All of the buffer; the kernel may do it in parts. */
async function transferAll(handle: FileHandle, doing: Doing, buffer: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < buffer.length;) {
    const count =
      doing === 'read'
        ? (await handle.read(buffer, done, buffer.length - done, position + done)).bytesRead
        : (await handle.write(buffer, done, buffer.length - done, position + done)).bytesWritten;
    if (count === 0) throw new Error(`the device took or gave nothing after ${done} of ${buffer.length} bytes`);
    done += count;
  }
}

async function onThread(device: Opened, doing: Doing, position: number, length: number, job: () => Promise<void>) {
  await onDiskThread(async () => {
    try {
      await job();
    } catch (error) {
      throw error instanceof AgentError ? error : transferError(device, doing, position, length, error);
    }
  });
}

async function withBounce(job: (bounce: Buffer) => Promise<void>): Promise<void> {
  const bounce = bounces.pop() ?? alignedBuffer(BOUNCE_BYTES);
  try {
    await job(bounce);
  } finally {
    bounces.push(bounce);
  }
}

/** A file system may ask for larger pieces than we know of; then everything goes through the cache. */
function isRefusal(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EINVAL';
}

async function writeDirect(device: Opened, buffer: Uint8Array, position: number): Promise<boolean> {
  const { direct } = device;
  if (!direct) return false;
  try {
    if (isAligned(buffer, ALIGNED_BYTES)) await transferAll(direct, 'write', buffer, position);
    else
      await withBounce(async (bounce) => {
        for (let done = 0; done < buffer.length; done += bounce.length) {
          const part = buffer.subarray(done, done + bounce.length);
          copyInto(bounce, 0, part);
          await transferAll(direct, 'write', bounce.subarray(0, part.length), position + done);
        }
      });
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // Closed with the device: another write may be using it.
    device.direct = undefined;
    return false;
  }
}

/** Writes all of the buffer: past the page cache what is long and lies well, the rest through it. */
export async function write(device: Opened, buffer: Uint8Array, position: number): Promise<void> {
  if (position < 0 || position + buffer.length > device.sizeBytes)
    throw rangeError('write', device, position, buffer.length);
  const isDirect = device.direct !== undefined && position % DIRECT_BYTES === 0;
  const directBytes = isDirect ? buffer.length - (buffer.length % DIRECT_BYTES) : 0;
  await onThread(device, 'write', position, buffer.length, async () => {
    const wasDirect = directBytes > 0 && (await writeDirect(device, buffer.subarray(0, directBytes), position));
    const rest = buffer.subarray(wasDirect ? directBytes : 0);
    if (rest.length === 0) return;
    device.isDirty = true;
    await transferAll(device.handle, 'write', rest, position + buffer.length - rest.length);
  });
}

export async function read(device: Opened, buffer: Uint8Array, position: number): Promise<void> {
  if (position < 0 || position + buffer.length > device.sizeBytes)
    throw rangeError('read', device, position, buffer.length);
  await onThread(device, 'read', position, buffer.length, () => transferAll(device.handle, 'read', buffer, position));
}

async function readDirect(direct: FileHandle, buffer: Uint8Array, position: number): Promise<void> {
  await withBounce(async (bounce) => {
    for (let done = 0; done < buffer.length;) {
      const skipped = (position + done) % ALIGNED_BYTES;
      const start = position + done - skipped;
      const wanted = Math.min(
        bounce.length,
        Math.ceil((skipped + buffer.length - done) / ALIGNED_BYTES) * ALIGNED_BYTES,
      );
      // At the end of a file or disk there may be less than a page.
      const { bytesRead } = await direct.read(bounce, 0, Math.min(wanted, bounce.length), start);
      const got = Math.min(bytesRead - skipped, buffer.length - done);
      if (got <= 0) throw new Error(`the device gave nothing after ${done} of ${buffer.length} bytes`);
      buffer.set(bounce.subarray(skipped, skipped + got), done);
      done += got;
    }
  });
}

/** As `read`, past the page cache where that works. */
export async function readBack(device: Opened, buffer: Uint8Array, position: number): Promise<void> {
  if (position < 0 || position + buffer.length > device.sizeBytes)
    throw rangeError('read', device, position, buffer.length);
  await onThread(device, 'read', position, buffer.length, async () => {
    const { direct } = device;
    if (direct === undefined) await transferAll(device.handle, 'read', buffer, position);
    else await readDirect(direct, buffer, position);
  });
}

/** Everything written so far is on the medium when this returns; also what went past the page cache, for a disk has a cache too. */
export async function flush(device: Opened): Promise<void> {
  try {
    device.isDirty = false;
    await onDiskThread(() => device.handle.sync());
  } catch (error) {
    throw new AgentError(
      'BlockDeviceError',
      `cannot flush ${device.path}: ${reasonOf(error)}; something that was written to it is lost`,
      { cause: error },
    );
  }
}
