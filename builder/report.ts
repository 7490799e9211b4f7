import { formatBytes } from '../cli/progress.ts';
import type { Manifest } from './manifest.ts';

/**
 * The table "where the bytes go", largest first.
 * @param rows how many before the rest is summed up in one line
 */
export function formatUsage(usage: Manifest['usage'], rows: number): string {
  const line = (bytes: number, name: string, unpacked: number) => {
    const share = `${((100 * bytes) / Math.max(1, usage.total)).toFixed(1)}%`;
    return `  ${formatBytes(bytes).padStart(9)}  ${share.padStart(6)}  ${formatBytes(unpacked).padStart(9)} unpacked  ${name}`;
  };
  const shown = usage.rows.slice(0, rows);
  const rest = usage.rows.slice(rows);
  const sum = (list: Manifest['usage']['rows'], key: 'bytes' | 'unpackedBytes') =>
    list.reduce((total, row) => total + row[key], 0);
  return [
    ...shown.map((row) => line(row.bytes, `${row.element}: ${row.source}`, row.unpackedBytes)),
    ...(rest.length > 0
      ? [line(sum(rest, 'bytes'), `${rest.length} smaller ones (--verbose lists them)`, sum(rest, 'unpackedBytes'))]
      : []),
    line(usage.total, 'all', sum(usage.rows, 'unpackedBytes')),
  ].join('\n');
}
