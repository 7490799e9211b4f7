import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { RegularFile } from './door.ts';

async function describe(handle: FileHandle, path: string): Promise<RegularFile> {
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) throw new AgentError('ImageDownloadError', `cannot read ${path}: it is no regular file`);
  return {
    // The file that was opened, whatever the path has become since: no link can be swapped in between.
    path: await realpath(`/proc/self/fd/${handle.fd}`),
    sizeBytes: Number(stat.size),
    read: async (buffer, position) => {
      let done = 0;
      while (done < buffer.length) {
        const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    },
    version: async () => {
      const { size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
      return `${size} ${mtimeNs} ${ctimeNs}`;
    },
    close: () => handle.close(),
  };
}

/**
 * Opens a regular file for reading; a pipe, a device or a folder is refused without waiting for it.
 * @throws AgentError `ImageDownloadError`
 */
export async function openRegularFile(path: string): Promise<RegularFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new AgentError('ImageDownloadError', `cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    return await describe(handle, path);
  } catch (error) {
    await handle.close();
    throw error;
  }
}
