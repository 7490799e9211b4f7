export type Search = {
  /** Smallest that worked, a multiple of the step; undefined where even the highest did not. */
  smallest: number | undefined;
  /** What was tried, in its order. */
  tries: { value: number; works: boolean }[];
};

/** How many steps from the guess the first look up or down goes. */
const FIRST_LEAP = 4;

/**
 * The smallest multiple of `step` for which `works`: from a guess in growing leaps to where it changes, then by halving. Supposes
 * that whatever is larger works, too.
 * @param low known not to work, or not worth trying; a multiple of the step
 * @param high the largest to try; a multiple of the step
 */
export async function bisect(
  { low, high, step, guess }: { low: number; high: number; step: number; guess: number },
  works: (value: number) => Promise<boolean>,
): Promise<Search> {
  const tries: Search['tries'] = [];
  const attempt = async (value: number) => {
    const result = await works(value);
    tries.push({ value, works: result });
    return result;
  };
  let [bad, good] = [low, high + step];
  let next = Math.min(high, Math.max(low + step, Math.round(guess / step) * step));
  for (let leap = FIRST_LEAP * step; next > bad && next < good; leap *= 2) {
    if (await attempt(next)) {
      good = next;
      next = Math.max(low + step, good - leap);
    } else {
      bad = next;
      next = Math.min(high, bad + leap);
    }
    // It works here and not there: what is left lies in between.
    if (bad > low && good <= high) break;
  }
  while (good - bad > step && good <= high) {
    const middle = bad + Math.round((good - bad) / step / 2) * step;
    if (await attempt(middle)) good = middle;
    else bad = middle;
  }
  return { smallest: good > high ? undefined : good, tries };
}
