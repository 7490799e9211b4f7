/** What several measurements of one thing come to. */
export type Summary = { median: number; lowest: number; highest: number; values: number[] };

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - 1], sorted[middle]];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

/** @returns undefined where nothing was measured */
export function summarize(values: readonly (number | undefined)[]): Summary | undefined {
  const known = values.filter((value): value is number => value !== undefined);
  if (known.length === 0) return undefined;
  return { median: median(known), lowest: Math.min(...known), highest: Math.max(...known), values: known };
}

/**
 * Ratios own/peer of measurements that were taken in turn: the n-th of one with the n-th of the other, because what else the
 * machine does then hits both. A round in which one of them is missing does not count.
 */
export function ratios(
  own: readonly (number | undefined)[],
  peer: readonly (number | undefined)[],
): Summary | undefined {
  return summarize(
    own.map((value, round) => {
      const other = peer[round];
      return value === undefined || other === undefined || other === 0 ? undefined : value / other;
    }),
  );
}
