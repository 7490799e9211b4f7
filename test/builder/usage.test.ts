import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { apportion } from '../../builder/usage.ts';

describe('where the bytes go', () => {
  test('shares add up to the whole, and the larger weight never gets less', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.array(fc.nat(1e6), { minLength: 1, maxLength: 30 }), (total, weights) => {
        const shares = apportion(total, weights);
        expect(shares.reduce((a, b) => a + b, 0)).toBe(total);
        for (const [i, a] of weights.entries())
          for (const [j, b] of weights.entries())
            if (a > b && weights.some((weight) => weight > 0))
              expect(shares[i]).toBeGreaterThanOrEqual((shares[j] ?? 0) - 1);
      }),
    );
  });

  test('nothing divides among nobody', () => {
    expect(apportion(5, [])).toEqual([]);
    expect(apportion(7, [0, 0, 0])).toEqual([3, 2, 2]);
  });
});
