import { join } from 'node:path';
import { stat } from 'node:fs/promises';

import type { Progress } from '../cli/progress.ts';
import { folderDigest } from './dib/key.ts';
import { REPLACEMENTS } from './dib/native.ts';
import { type DibRecipe, OWN_ELEMENTS, readDibElements } from './dib/recipe.ts';
import { elementNamesOf } from './elements.ts';

/** What decides which format an element is in. */
export type SplitOptions = {
  elementsPath?: readonly string[] | undefined;
  env?: Readonly<Record<string, string | undefined>> | undefined;
  progress: Pick<Progress, 'log'>;
};

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

/** Whether a name that no element of Ingot has is one of diskimage-builder (DIB). */
async function isForeign(name: string, path: readonly string[]): Promise<boolean> {
  if (Object.hasOwn(REPLACEMENTS, name)) return true;
  for (const folder of [OWN_ELEMENTS, ...path]) if (await isFolder(join(folder, name))) return true;
  return false;
}

/**
 * Tells elements of Ingot from those of DIB; a name that both have is Ingot's.
 * @returns names for `settleElements`, with those that elements of DIB need; and what of DIB has to run
 * @throws Failure of `builder/dib/failures.ts`
 */
export async function splitElements(
  names: readonly string[],
  { elementsPath = [], env = {}, progress }: SplitOptions,
): Promise<{ native: string[]; foreign: DibRecipe | undefined }> {
  const known = await elementNamesOf({ folders: elementsPath });
  const other: string[] = [];
  for (const name of names) if (!known.has(name) && (await isForeign(name, elementsPath))) other.push(name);
  const native = names.filter((name) => !other.includes(name));
  if (other.length === 0) return { native, foreign: undefined };
  const recipe = await readDibElements({
    names: [...new Set(other)],
    path: elementsPath,
    isNative: (name) => known.has(name),
    env,
  });
  for (const line of recipe.warnings) progress.log(`warning: ${line}`);
  return {
    native: [...native, ...recipe.native.filter((name) => !native.includes(name))],
    foreign: recipe.foreign.length > 0 ? recipe : undefined,
  };
}

/** Elements of DIB by the digests of their folders. */
export async function foreignDigests(recipe: DibRecipe | undefined): Promise<{ name: string; sha256: string }[]> {
  return Promise.all(
    (recipe?.foreign ?? []).map(async ({ name, folder }) => ({ name, sha256: await folderDigest(folder) })),
  );
}
