import { rm } from 'node:fs/promises';

import { systemRun } from '../../system/run.ts';
import { type DiskFile, makeDiskFile } from './disk-file.ts';

/** A real block device of the kernel whose medium is a used disk's file; needs root. */
export type LoopDevice = { path: string; file: DiskFile; close: () => Promise<void> };

/**
 * @param sectorBytes logical sector: 512, or 4096 as a "4Kn" disk has it
 * @returns undefined where this machine lets nobody make loop devices
 */
export async function makeLoopDevice(sizeBytes: number, sectorBytes: 512 | 4096): Promise<LoopDevice | undefined> {
  const file = await makeDiskFile(sizeBytes);
  try {
    const { stdout } = await systemRun('losetup', [
      '--find',
      '--show',
      '--sector-size',
      String(sectorBytes),
      file.path,
    ]);
    const path = stdout.trim();
    return {
      path,
      file,
      close: async () => {
        await systemRun('losetup', ['--detach', path]);
        await file.close();
      },
    };
  } catch {
    await file.close();
    await rm(file.path, { force: true });
    return undefined;
  }
}
