import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { reasonOf } from '../../system/failure.ts';
import { type Run, systemRun } from '../../system/run.ts';
import { AgentError } from '../api/errors.ts';
import type { BlockDevice, SystemFiles } from './door.ts';
import { systemFiles } from './files.ts';
import { readGeometry } from './geometry.ts';
import { flush, openDirect, read, readBack, write } from './transfer.ts';
import { tryZeroing, untriedMethod, zero, type ZeroingDevice } from './zeroing.ts';

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
  let direct: FileHandle | undefined;
  try {
    const geometry = await readGeometry(handle, path, os.files);
    direct = await openDirect(handle, mode);
    const opened = { ...geometry, path, handle, direct, isDirty: false };
    const device: ZeroingDevice = Object.assign(opened, { run: os.run, zeroMethod: untriedMethod(opened) });
    return {
      path,
      sizeBytes: device.sizeBytes,
      sectorBytes: device.sectorBytes,
      read: (buffer, position) => read(device, buffer, position),
      write: (buffer, position) => write(device, buffer, position),
      readBack: (buffer, position) => readBack(device, buffer, position),
      isDirect: () => device.direct !== undefined,
      zero: (position, lengthBytes) => zero(device, position, lengthBytes),
      tryZeroing: (position, lengthBytes) => tryZeroing(device, position, lengthBytes),
      flush: () => flush(device),
      close: async () => {
        await direct?.close();
        await handle.close();
      },
    };
  } catch (error) {
    await direct?.close();
    await handle.close();
    throw error;
  }
}
