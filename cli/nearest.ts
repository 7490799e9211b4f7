/** How many letters have to be put in, left out, changed or swapped with their neighbour to make one word of another. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Infinity;
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      row[j] = Math.min(at(i - 1, j) + 1, (row[j - 1] ?? Infinity) + 1, at(i - 1, j - 1) + same, swapped);
    }
    rows[i] = row;
  }
  return at(a.length, b.length);
}

/**
 * What somebody probably meant who wrote a name that there is not: the nearest of the names, if it is near enough.
 * @returns undefined when more than a third of the letters (at most three) would have to change
 */
export function nearest(wrong: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, steps: distance(wrong.toLowerCase(), name.toLowerCase()) }))
    .toSorted((a, b) => a.steps - b.steps || (a.name < b.name ? -1 : 1));
  const [best] = ranked;
  return best !== undefined && best.steps <= Math.min(3, Math.ceil(wrong.length / 3)) ? best.name : undefined;
}
