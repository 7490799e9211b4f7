import { formatBytes } from '../cli/progress.ts';
import { builderFailure } from './failures.ts';
import type { PackedLayer } from './layers.ts';
import type { Tree } from './tree/tree.ts';

const NAMED = 20;

/**
 * Holds a build to a size before anything of it is written.
 * @param maxBytes of kernel and initramfs together; undefined for no limit
 * @param plainBytes what is not in a layer: the kernel and the initramfs' uncompressed front
 * @throws Failure `TOO_LARGE` that names the largest files, by their size before compression
 */
export function checkSize(
  maxBytes: number | undefined,
  plainBytes: number,
  layers: readonly Pick<PackedLayer, 'bytes'>[],
  tree: Tree,
): void {
  const total = layers.reduce((sum, one) => sum + one.bytes, plainBytes);
  if (maxBytes === undefined || total <= maxBytes) return;
  const files = [...tree.values()]
    .flatMap(({ entry, owner }) => (entry.type === 'file' ? [{ ...entry, owner }] : []))
    .toSorted((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1));
  const lines = files
    .slice(0, NAMED)
    .map((one) => `  ${formatBytes(one.size).padStart(9)}  /${one.path} (${one.owner.element}: ${one.owner.source})`);
  throw builderFailure(
    'TOO_LARGE',
    [
      `kernel and initramfs have ${formatBytes(total)}, ${formatBytes(total - maxBytes)} more than allowed; the largest files:`,
      ...lines,
    ].join('\n'),
  );
}
