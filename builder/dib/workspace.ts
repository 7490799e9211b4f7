import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import type { BuilderHost } from '../host/door.ts';
import { dibFailure } from './failures.ts';
import { runInSandbox } from './sandbox.ts';

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Removes a folder whose files belong to numbers that only the namespace has; also after an interruption. */
export async function removeTree(host: BuilderHost, folder: string): Promise<void> {
  if (!(await exists(folder))) return;
  const { signal } = new AbortController();
  await runInSandbox(host, ['rm', '-rf', '--one-file-system', '--', folder], { signal }).catch(() => undefined);
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);
}

/** An empty folder for one run of hooks. What killed builds have left is removed: nothing is mounted there, but it takes room. */
export async function openWorkspace(host: BuilderHost, key: string): Promise<string> {
  const place = host.cache.path('dib-work', '');
  await mkdir(place, { recursive: true });
  for (const name of await readdir(place))
    if (!(await exists(`/proc/${name.split('.').at(-1)}`))) await removeTree(host, join(place, name));
  const folder = join(place, `${key}.${process.pid}`);
  await removeTree(host, folder);
  for (const part of ['hooks', 'data', 'image', 'mnt']) await mkdir(join(folder, part), { recursive: true });
  return folder;
}

/** What a shell in the tree of a failed build needs to know. */
export type FailedTree = { folder: string; variables: Record<string, string> };

const VARIABLES = 'variables.json';

/** Keeps the tree of a build whose hook failed, and only the last one. @returns its name */
export async function keepFailedTree(
  host: BuilderHost,
  folder: string,
  variables: Readonly<Record<string, string>>,
): Promise<string> {
  const place = host.cache.path('dib-failed', '');
  await mkdir(place, { recursive: true });
  for (const name of await readdir(place)) await removeTree(host, join(place, name));
  const name = basename(folder).slice(0, 12);
  await writeFile(join(folder, VARIABLES), JSON.stringify(variables));
  await rename(folder, join(place, name));
  return name;
}

/**
 * The tree that a failed hook left.
 * @param name as the failure named it; the last one unless said
 * @throws Failure `DIB_NO_TREE`
 */
export async function failedTree(host: BuilderHost, name?: string): Promise<FailedTree> {
  const place = host.cache.path('dib-failed', '');
  const kept = await readdir(place).catch((): string[] => []);
  const found = name ?? kept[0];
  if (found === undefined || !kept.includes(found))
    throw dibFailure('DIB_NO_TREE', found === undefined ? 'no hook has failed' : `${found} is not there`, {
      hint: kept.length > 0 ? `there is ${kept.join(', ')}` : 'a build whose hook fails leaves one, and says its name',
    });
  const folder = join(place, found);
  const variables = JSON.parse(await readFile(join(folder, VARIABLES), 'utf8')) as Record<string, string>;
  return { folder, variables };
}
