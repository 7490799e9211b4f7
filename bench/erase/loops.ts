import { readFile, realpath, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import type { Run } from '../../system/run.ts';

/** A block device of the kernel whose medium is a file of the bench. */
export type Loop = {
  /** `/dev/loop3` */
  path: string;
  /** Ends the device, if it is still that of its file. */
  close: () => Promise<void>;
};

/** @throws when a device is not, or no longer, the loop device of this file: then nobody may write to it */
export async function assertLoopOf(path: string, file: string): Promise<void> {
  if (!/^\/dev\/loop\d+$/.test(path)) throw new Error(`cannot use ${path}: it is no loop device`);
  const behind = await readFile(`/sys/block/${basename(path)}/loop/backing_file`, 'utf8').catch(() => '');
  if (behind.trim() !== (await realpath(file)))
    throw new Error(`cannot use ${path}: behind it is ${behind.trim() || 'nothing'}, not ${file}`);
}

/** @throws where the machine lets nobody make loop devices, or none past the page cache */
export async function openLoop(run: Run, file: string, signal: AbortSignal): Promise<Loop> {
  const { stdout } = await run('losetup', ['--find', '--show', '--direct-io=on', file], { signal });
  const path = stdout.trim();
  const close = async () => {
    await assertLoopOf(path, file);
    await run('losetup', ['--detach', path]);
  };
  await assertLoopOf(path, file);
  return { path, close };
}

/** Version 1 of control groups: Documentation/admin-guide/cgroup-v1/blkio-controller.rst. Zero ends a limit. */
const LIMIT_FILE = '/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device';

/**
 * Makes loop devices as slow as disks. Only the root group will do: pages of the cache are written by the kernel, which is in that one.
 * @param bytesPerSecond of each; 0 is as fast as they can
 * @returns why it does not work; undefined when it does
 */
export async function limitWrites(loops: readonly Loop[], bytesPerSecond: number): Promise<string | undefined> {
  try {
    const own = await readFile('/proc/self/cgroup', 'utf8');
    if (!/^\d+:(?:[^:]*,)?blkio(?:,[^:]*)?:\/$/m.test(own)) return 'this is not the root group of cgroup v1 blkio';
    for (const { path } of loops) {
      const number = (await readFile(`/sys/block/${basename(path)}/dev`, 'utf8')).trim();
      await writeFile(LIMIT_FILE, `${number} ${bytesPerSecond}\n`);
    }
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
