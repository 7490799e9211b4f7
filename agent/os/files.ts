import { access, chmod, constants, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';

import { writeAtomically } from '../../system/files.ts';
import type { SystemFiles } from './door.ts';

/** What cannot be read is absent: sysfs answers EIO or EINVAL where a device has nothing to say. */
async function orElse<T, E>(work: Promise<T>, otherwise: E): Promise<T | E> {
  try {
    return await work;
  } catch {
    return otherwise;
  }
}

/** Files of the kernel are written in place: a neighbour to rename cannot be made there. */
function isKernelFile(path: string): boolean {
  return /^\/(proc|sys|dev)\//.test(path);
}

export const systemFiles: SystemFiles = {
  read: (path) => orElse(readFile(path, 'utf8'), undefined),
  readBytes: (path) => orElse(readFile(path), undefined),
  list: (path) => orElse(readdir(path), []),
  resolve: (path) => orElse(realpath(path), undefined),
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  kind: async (path) => {
    const found = await orElse(stat(path), undefined);
    if (found === undefined) return undefined;
    return found.isFile() ? 'file' : found.isBlockDevice() ? 'block device' : 'other';
  },
  isExecutable: (path) =>
    access(path, constants.X_OK).then(
      () => true,
      () => false,
    ),
  write: async (path, content, mode = 0o644) => {
    if (isKernelFile(path)) await writeFile(path, content);
    else {
      await writeAtomically(path, async (temporary) => {
        // The mode is set before there is anything to read; chmod undoes what the umask took away.
        await writeFile(temporary, content, { mode });
        await chmod(temporary, mode);
      });
    }
  },
  makeDirectory: async (path, mode = 0o755) => {
    await mkdir(path, { recursive: true, mode });
  },
  remove: (path) => rm(path, { force: true, recursive: true }),
};
