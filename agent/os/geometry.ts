import type { FileHandle } from 'node:fs/promises';

import { AgentError } from '../api/errors.ts';
import type { SystemFiles } from './door.ts';

/** What the kernel says about a device. Bytes; zero where it does not say, or where there is no such ability. */
export type Geometry = {
  isBlockDevice: boolean;
  sizeBytes: number;
  sectorBytes: number;
  /** Longest WRITE ZEROES command of the disk (`queue/write_zeroes_max_bytes`). */
  writeZeroesMaxBytes: number;
  /** Longest discard (`queue/discard_max_bytes`), and what discards are rounded to (`queue/discard_granularity`). */
  discardMaxBytes: number;
  discardGranularityBytes: number;
};

/** Major and minor number as glibc's `gnu_dev_major` and `gnu_dev_minor` take them apart. */
function deviceNumber(rdev: number): string {
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

/**
 * Reads sysfs (Documentation/ABI/stable/sysfs-block). Sizes there are in units of 512 bytes whatever the sector; a partition's
 * queue is its disk's.
 * @throws AgentError `BlockDeviceError` for what is neither a block device nor a file, or does not say its size
 */
export async function readGeometry(
  handle: FileHandle,
  path: string,
  files: Pick<SystemFiles, 'read'>,
): Promise<Geometry> {
  const stat = await handle.stat();
  const none = { writeZeroesMaxBytes: 0, discardMaxBytes: 0, discardGranularityBytes: 0 };
  if (stat.isFile()) return { isBlockDevice: false, sizeBytes: stat.size, sectorBytes: 512, ...none };
  if (!stat.isBlockDevice())
    throw new AgentError('BlockDeviceError', `cannot use ${path}: it is neither a block device nor a file`);
  const sys = `/sys/dev/block/${deviceNumber(stat.rdev)}`;
  const queue = async (name: string) =>
    Number((await files.read(`${sys}/queue/${name}`)) ?? (await files.read(`${sys}/../queue/${name}`)) ?? Number.NaN);
  const sizeBytes = Number((await files.read(`${sys}/size`)) ?? Number.NaN) * 512;
  const sectorBytes = await queue('logical_block_size');
  if (!Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(sectorBytes))
    throw new AgentError('BlockDeviceError', `cannot use ${path}: ${sys} does not say its size`);
  return {
    isBlockDevice: true,
    sizeBytes,
    sectorBytes,
    writeZeroesMaxBytes: (await queue('write_zeroes_max_bytes')) || 0,
    discardMaxBytes: (await queue('discard_max_bytes')) || 0,
    discardGranularityBytes: (await queue('discard_granularity')) || 0,
  };
}
