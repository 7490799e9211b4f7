export type Search = {
  /** Smallest that worked, a multiple of the step; undefined where even the highest did not. */
  smallest: number | undefined;
  /** What was tried, in its order. */
  tries: { value: number; works: boolean }[];
};

/**
 * The smallest multiple of `step` for which `works`, by halving. Supposes that whatever is larger works, too.
 * @param low known not to work, or not worth trying; a multiple of the step
 * @param high tried first; a multiple of the step
 */
export async function bisect(
  { low, high, step }: { low: number; high: number; step: number },
  works: (value: number) => Promise<boolean>,
): Promise<Search> {
  const tries: Search['tries'] = [];
  const attempt = async (value: number) => {
    const result = await works(value);
    tries.push({ value, works: result });
    return result;
  };
  if (!(await attempt(high))) return { smallest: undefined, tries };
  let [bad, good] = [low, high];
  while (good - bad > step) {
    const middle = bad + Math.round((good - bad) / step / 2) * step;
    if (await attempt(middle)) good = middle;
    else bad = middle;
  }
  return { smallest: good, tries };
}
