import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { diskLayout, SECTOR_BYTES } from './disk-layout.ts';
import { findPlatform } from './platform.ts';
import { userImageRecipe } from './user-image-recipe.ts';
import { recipeDigest, uuidOf } from './user-image.ts';

const MIB = 2 ** 20;

describe('the layout of the disk', () => {
  test('has two aligned partitions that neither overlap nor touch the two partition tables', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1024 }), fc.integer({ min: 4, max: 8192 }), (espMiB, restMiB) => {
        const sizeMiB = espMiB + restMiB;
        const { esp, root } = diskLayout(sizeMiB, espMiB);
        for (const { firstSector, lastSector, bytes } of [esp, root]) {
          expect((firstSector * SECTOR_BYTES) % MIB).toBe(0);
          expect((lastSector - firstSector + 1) * SECTOR_BYTES).toBe(bytes);
        }
        expect(esp.firstSector).toBeGreaterThanOrEqual(34);
        expect(root.firstSector).toBe(esp.lastSector + 1);
        // The backup table: 33 sectors at the end.
        expect(root.lastSector).toBeLessThan((sizeMiB * MIB) / SECTOR_BYTES - 33);
      }),
    );
  });

  test('of the real image leaves the ESP enough clusters to be FAT32 for firmware, with two sectors each', () => {
    const recipe = userImageRecipe(findPlatform('x86_64'));
    expect((recipe.espMiB * MIB) / (2 * SECTOR_BYTES)).toBeGreaterThan(65_525 + 1024);
  });
});

describe("the recipe's digest", () => {
  const recipe = userImageRecipe(findPlatform('x86_64'));

  test('changes with any part of the recipe', () => {
    const digests = [
      recipe,
      { ...recipe, packages: [...recipe.packages, 'nano'] },
      { ...recipe, finish: `${recipe.finish}# more\n` },
      { ...recipe, kernelCommandLine: 'quiet' },
      { ...recipe, sizeMiB: recipe.sizeMiB + 1 },
    ].map(recipeDigest);
    expect(new Set(digests).size).toBe(digests.length);
    expect(recipeDigest(userImageRecipe(findPlatform('x86_64')))).toBe(digests[0]);
  });
});

test('UUIDs made from text are well formed, and different for different text', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      expect(uuidOf(a)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(uuidOf(a) === uuidOf(b)).toBe(a === b);
    }),
  );
});
