import type { Summary } from './statistics.ts';

/** Rows of cells as lines, each column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** `0.40 (0.33 to 0.46)`: the median, the lowest and the highest. */
export function ratioText(ratio: Summary | undefined): string {
  if (ratio === undefined) return '-';
  const [low, high] = [ratio.lowest.toFixed(2), ratio.highest.toFixed(2)];
  return low === high ? ratio.median.toFixed(2) : `${ratio.median.toFixed(2)} (${low} to ${high})`;
}
