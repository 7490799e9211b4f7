import type { AgentOs } from '../os/door.ts';

/**
 * What the kernel lets be done with a disk's blocks, from /sys/class/block/NAME/queue (kernel `Documentation/ABI/stable/sysfs-block`).
 * Sizes are bytes; 0 is "cannot", null "the kernel does not say".
 */
export type DiskLimits = {
  discardMaxBytes: number | null;
  discardGranularityBytes: number | null;
  writeZeroesMaxBytes: number | null;
  writeZeroesUnmapMaxBytes: number | null;
  optimalIoBytes: number | null;
  maxIoBytes: number | null;
  queueDepth: number | null;
  hasWriteCache: boolean | null;
  hasFua: boolean | null;
  /** `none`, `host-aware` or `host-managed` (shingled disks). */
  zoned: string | null;
  /** Does the kernel know of checksums the disk keeps (T10 PI)? Its format's name. */
  integrity: string | null;
};

/** @param kname kernel name of a disk */
export async function readLimits({ files }: Pick<AgentOs, 'files'>, kname: string): Promise<DiskLimits> {
  const queue = `/sys/class/block/${kname}/queue`;
  const text = async (path: string) => (await files.read(path))?.trim() || null;
  const number = async (name: string) => {
    const value = await text(`${queue}/${name}`);
    return value !== null && /^\d+$/.test(value) ? Number(value) : null;
  };
  const [discard, granularity, zeroes, unmap, optimal, maxKb, depth, cache, fua, zoned, integrity] = await Promise.all([
    number('discard_max_bytes'),
    number('discard_granularity'),
    number('write_zeroes_max_bytes'),
    number('write_zeroes_unmap_max_bytes'),
    number('optimal_io_size'),
    number('max_sectors_kb'),
    number('nr_requests'),
    text(`${queue}/write_cache`),
    number('fua'),
    text(`${queue}/zoned`),
    text(`/sys/class/block/${kname}/integrity/format`),
  ]);
  return {
    discardMaxBytes: discard,
    discardGranularityBytes: granularity,
    writeZeroesMaxBytes: zeroes,
    writeZeroesUnmapMaxBytes: unmap,
    optimalIoBytes: optimal,
    maxIoBytes: maxKb === null ? null : maxKb * 1024,
    queueDepth: depth,
    hasWriteCache: cache === null ? null : cache === 'write back',
    hasFua: fua === null ? null : fua === 1,
    zoned,
    integrity: integrity === 'none' ? null : integrity,
  };
}
