import { join } from 'node:path';
import { readdir, stat } from 'node:fs/promises';

import type { Progress } from '../cli/progress.ts';
import { folderDigest } from './dib/key.ts';
import { REPLACEMENTS } from './dib/native.ts';
import { type DibRecipe, OWN_ELEMENTS, readDibElements } from './dib/recipe.ts';
import { PHASES } from './dib/phases.ts';
import { elementNamesOf, expandElements } from './elements.ts';
import { builderFailure } from './failures.ts';

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

const HOOK_FOLDERS = PHASES.map(({ name }) => `${name}.d`);

/** The hooks in an element's folder, as `install.d/50-name`. */
async function hookFiles(home: string): Promise<string[]> {
  const lists = await Promise.all(
    HOOK_FOLDERS.map(async (folder) =>
      (await readdir(join(home, folder)).catch(() => [])).map((one) => `${folder}/${one}`),
    ),
  );
  return lists.flat();
}

/**
 * Elements of Ingot that bring hooks as well, which have to be said in `hooks`, each with its reason.
 * @throws Failure `ELEMENT_INVALID` for a hook that is not said, or not there
 */
async function hookedElements(names: readonly string[], folders: readonly string[]): Promise<string[]> {
  const hooked: string[] = [];
  for (const { name, home, hooks = {} } of await expandElements(names, { folders })) {
    const present = home === undefined ? [] : await hookFiles(home);
    const unsaid = present.find((one) => hooks[one] === undefined);
    const absent = Object.keys(hooks).find((one) => !present.includes(one));
    if (unsaid !== undefined)
      throw builderFailure('ELEMENT_INVALID', `${name}: it has ${unsaid}, and says in hooks nothing of it`);
    if (absent !== undefined) throw builderFailure('ELEMENT_INVALID', `${name}: hooks.${absent} is not in its folder`);
    if (present.length > 0) hooked.push(name);
  }
  return hooked;
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
  const hooked = await hookedElements(native, elementsPath);
  if (other.length + hooked.length === 0) return { native, foreign: undefined };
  const recipe = await readDibElements({
    names: [...new Set([...other, ...hooked])],
    path: elementsPath,
    // An element of Ingot with hooks is read twice: its manifest as Ingot's, its hooks as those of DIB.
    isNative: (name) => known.has(name) && !hooked.includes(name),
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
