import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { bisect } from '../../bench/bisection.ts';
import { median, ratios, summarize } from '../../bench/statistics.ts';

const finite = fc.double({ min: -1e9, max: 1e9, noNaN: true });

describe('the median', () => {
  test('has as many values above it as below', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1 }), (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  test('does not care about the order, and of two it is the mean', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1])).toBe(2.5);
  });
});

describe('ratios', () => {
  test('go by rounds, so that a slow round of both does not count', () => {
    expect(ratios([10, 40, 20], [20, 80, 40])).toEqual({
      median: 0.5,
      lowest: 0.5,
      highest: 0.5,
      values: [0.5, 0.5, 0.5],
    });
  });

  test('leave out a round in which one of them was not measured', () => {
    expect(ratios([10, undefined, 30], [20, 20, undefined])?.values).toEqual([0.5]);
    expect(ratios([undefined], [1])).toBeUndefined();
    expect(summarize([])).toBeUndefined();
  });
});

describe('the search for the smallest', () => {
  const step = 32;
  const counts = fc.integer({ min: 1, max: 64 });

  test('finds it to the step, wherever it begins, and tries nothing twice', async () => {
    await fc.assert(
      fc.asyncProperty(counts, counts, counts, async (most, threshold, guess) => {
        const limits = { low: 0, high: most * step, step, guess: guess * step };
        const { smallest, tries } = await bisect(limits, async (value) => value >= threshold * step);
        expect(smallest).toBe(threshold <= most ? threshold * step : undefined);
        const values = tries.map(({ value }) => value);
        expect(new Set(values).size).toBe(values.length);
        expect(values.every((value) => value % step === 0 && value > 0 && value <= most * step)).toBe(true);
      }),
    );
  });

  test('takes few tries when the guess is near', async () => {
    const { tries } = await bisect({ low: 0, high: 2048, step, guess: 800 }, async (value) => value >= 768);
    expect(tries.length).toBeLessThanOrEqual(4);
  });
});
