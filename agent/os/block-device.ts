import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { reasonOf } from '../../system/failure.ts';
import { type Run, systemRun } from '../../system/run.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice, SystemFiles } from './door.ts';
import { systemFiles } from './files.ts';
import { createLimit } from './limit.ts';

/** Shorter ranges are zeroed by writing: starting a program costs more than that. */
const LEAST_BYTES_FOR_A_PROGRAM = 4 * 1024 ** 2;
const ZEROS = Buffer.alloc(1024 ** 2);
/**
 * Node has four threads for all files, and for the names of hosts. Disks get two of them: one that is slow or hangs must not stand
 * between the heartbeat and the name of the API, or between a command and its place in the history.
 */
const onDiskThread = createLimit(2);

type Geometry = { isBlockDevice: boolean; sizeBytes: number; sectorBytes: number };

/** Major and minor number as glibc's `gnu_dev_major` and `gnu_dev_minor` take them apart. */
function deviceNumber(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

/** Sizes of /sys are in units of 512 bytes whatever the sector; a partition's queue is its disk's. */
async function geometry(handle: FileHandle, path: string, files: Pick<SystemFiles, 'read'>): Promise<Geometry> {
  const stat = await handle.stat();
  if (stat.isFile()) return { isBlockDevice: false, sizeBytes: stat.size, sectorBytes: 512 };
  if (!stat.isBlockDevice())
    throw new AgentError('BlockDeviceError', `cannot use ${path}: it is neither a block device nor a file`);
  const sys = `/sys/dev/block/${deviceNumber(stat.rdev)}`;
  const size = Number((await files.read(`${sys}/size`)) ?? Number.NaN) * 512;
  const sector = Number(
    (await files.read(`${sys}/queue/logical_block_size`)) ??
      (await files.read(`${sys}/../queue/logical_block_size`)) ??
      Number.NaN,
  );
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(sector))
    throw new AgentError('BlockDeviceError', `cannot use ${path}: ${sys} does not say its size`);
  return { isBlockDevice: true, sizeBytes: size, sectorBytes: sector };
}

async function openHandle(path: string, mode: 'read' | 'write'): Promise<FileHandle> {
  if (mode === 'read') return open(path, constants.O_RDONLY);
  try {
    // On a block device O_EXCL without O_CREAT asks the kernel for the whole disk: it refuses while anything of it is mounted or claimed.
    const handle = await open(path, constants.O_RDWR | constants.O_EXCL);
    return handle;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    throw new AgentError(
      'ProtectedDeviceError',
      `cannot open ${path} for writing: it is in use (mounted, or part of a RAID or LVM volume); stop what uses it`,
      { cause: error },
    );
  }
}

function rangeError(doing: string, path: string, position: number, length: number, sizeBytes: number): AgentError {
  return new AgentError(
    'BlockDeviceError',
    `cannot ${doing} ${length} bytes at byte ${position} of ${path}: it ends at byte ${sizeBytes}`,
  );
}

type Opened = Geometry & { handle: FileHandle; path: string; run: Run };

/** Reads or writes all of the buffer; the kernel may do it in parts. */
async function transfer(device: Opened, doing: 'read' | 'write', buffer: Uint8Array, position: number): Promise<void> {
  const { handle, path, sizeBytes, sectorBytes } = device;
  if (position < 0 || position + buffer.length > sizeBytes)
    throw rangeError(doing, path, position, buffer.length, sizeBytes);
  for (let done = 0; done < buffer.length;) {
    const at = position + done;
    try {
      const { length } = buffer;
      const from = done;
      const count = await onDiskThread(async () =>
        doing === 'read'
          ? (await handle.read(buffer, from, length - from, at)).bytesRead
          : (await handle.write(buffer, from, length - from, at)).bytesWritten,
      );
      if (count === 0) throw rangeError(doing, path, at, length - done, at);
      done += count;
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError(
        'BlockDeviceError',
        `cannot ${doing} ${path} at sector ${Math.floor(at / sectorBytes)} (${sectorBytes} bytes each): ${reasonOf(error)}`,
        { cause: error },
      );
    }
  }
}

async function writeZeros(device: Opened, position: number, lengthBytes: number): Promise<void> {
  for (let done = 0; done < lengthBytes; done += ZEROS.length)
    await transfer(device, 'write', ZEROS.subarray(0, Math.min(ZEROS.length, lengthBytes - done)), position + done);
}

/**
 * BLKZEROOUT for disks (which the kernel answers with the disk's own means, or by writing zeros), a hole for files.
 * Where neither works (EBUSY while pages of the range are dirty, EOPNOTSUPP) zeros are written, which always reads back right.
 */
async function zero(device: Opened, position: number, lengthBytes: number): Promise<void> {
  const { path, sizeBytes, isBlockDevice, run } = device;
  if (position < 0 || position + lengthBytes > sizeBytes)
    throw rangeError('zero', path, position, lengthBytes, sizeBytes);
  if (lengthBytes < LEAST_BYTES_FOR_A_PROGRAM) return writeZeros(device, position, lengthBytes);
  const range = ['--offset', String(position), '--length', String(lengthBytes), path];
  try {
    // --force: our own exclusive handle would make blkdiscard's second one fail.
    if (isBlockDevice) await run('blkdiscard', ['--zeroout', '--force', ...range]);
    else await run('fallocate', ['--punch-hole', ...range]);
  } catch {
    await writeZeros(device, position, lengthBytes);
  }
}

/**
 * Opens a disk, a partition, or a regular file that stands for one.
 * @param mode 'write' takes a block device exclusively
 * @param os what finds its size and zeroes it; tests of failing programs hand in others
 * @throws AgentError `ProtectedDeviceError` when it is in use, `BlockDeviceError` when it cannot be opened
 */
export async function openBlockDevice(
  path: string,
  mode: 'read' | 'write',
  os: { run: Run; files: Pick<SystemFiles, 'read'> } = { run: systemRun, files: systemFiles },
): Promise<BlockDevice> {
  let handle: FileHandle;
  try {
    handle = await openHandle(path, mode);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError('BlockDeviceError', `cannot open ${path}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    const device: Opened = { ...(await geometry(handle, path, os.files)), handle, path, run: os.run };
    return {
      path,
      sizeBytes: device.sizeBytes,
      sectorBytes: device.sectorBytes,
      read: (buffer, position) => transfer(device, 'read', buffer, position),
      write: (buffer, position) => transfer(device, 'write', buffer, position),
      zero: (position, lengthBytes) => zero(device, position, lengthBytes),
      flush: async () => {
        try {
          await onDiskThread(() => handle.sync());
        } catch (error) {
          throw new AgentError('BlockDeviceError', `cannot flush ${path}: ${reasonOf(error)}`, { cause: error });
        }
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
