import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { apportion } from '../../builder/usage.ts';

describe('where the bytes go', () => {
  test('shares add up to the whole, and each is within one of the exact share', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.array(fc.nat(1e6), { minLength: 1, maxLength: 30 }), (total, weights) => {
        const shares = apportion(total, weights);
        expect(shares.reduce((a, b) => a + b, 0)).toBe(total);
        const sum = weights.reduce((a, b) => a + b, 0);
        // Each is within one of its exact share.
        const off = weights.map((weight, index) =>
          Math.abs((shares[index] ?? 0) - (sum === 0 ? total / weights.length : (total * weight) / sum)),
        );
        expect(Math.max(...off)).toBeLessThan(1 + 1e-6);
      }),
    );
  });

  test('nothing divides among nobody', () => {
    expect(apportion(5, [])).toEqual([]);
    expect(apportion(7, [0, 0, 0])).toEqual([3, 2, 2]);
  });
});
