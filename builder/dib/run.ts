import { createReadStream } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import type { Architecture } from '../../arch/table.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Entry } from '../archive/entry.ts';
import { indexEntries, readTar, type TarIndex } from '../archive/tar.ts';
import type { BuilderHost } from '../host/door.ts';
import { dibFailure } from './failures.ts';
import { diskFolders } from './folders.ts';
import { mergeHooks } from './hooks.ts';
import { fixedPlace, type Inside, probeEnvironment, runPhases, SHELL } from './inside.ts';
import { folderDigest, keyOf } from './key.ts';
import { layOutHooks, readHookData, writeHookData } from './prepare.ts';
import { type DibRecipe, installTypes, OWN_ELEMENTS } from './recipe.ts';
import { type DibRecord, makeRecord, withDevices } from './record.ts';
import { hookRoot, rootKey } from './root.ts';
import { fetchingHooks, hookTexts, type HookText, hostPrograms } from './scan.ts';
import { callerVariables, coreVariables, type DibBase } from './variables.ts';
import { openWorkspace, removeTree } from './workspace.ts';

/** Raised when the same hooks would give another tree. */
const FORMAT = 1;

export type DibRun = {
  host: BuilderHost;
  recipe: DibRecipe;
  row: Architecture;
  base: DibBase;
  /** The caller's variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** Digests of the packages of the tree that hooks run in, as they are on the mirror now. */
  rootPackages: readonly string[];
  /** Digest of the mirror's signed lists: hooks may install any package of them. */
  lists: string;
  trace: boolean;
  /** Whether hooks may fetch what nobody has signed. */
  allowNetwork: boolean;
  progress: Progress;
  signal: AbortSignal;
};

export type DibTree = {
  entries: Entry[];
  record: DibRecord;
  /** No hook ran: an earlier build had the same. */
  cached: boolean;
};

/** Refuses a build that would fail half-way because this machine lacks a program. */
async function checkHost(texts: readonly HookText[]): Promise<void> {
  const paths = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`.split(delimiter);
  const isHere = async (program: string) =>
    (await Promise.all(paths.map((path) => stat(join(path, program)).catch(() => undefined)))).some(Boolean);
  const wanted = await Promise.all(
    hostPrograms(texts).map(async (one) => ({ ...one, here: await isHere(one.program) })),
  );
  const absent = wanted.filter((one) => !one.here);
  if (absent.length === 0) return;
  const uses = absent.map(({ program, hook }) => `${program} (${hook.path} of ${hook.element})`);
  throw dibFailure('DIB_NO_SANDBOX', `this machine lacks what they call: ${uses.join(', ')}`, {
    hint: `apt-get install ${[...new Set(absent.map((one) => one.package))].join(' ')}`,
  });
}

/** Refuses hooks that fetch unsigned things, unless that is allowed (C32; DIB_COMPAT=bug allows it, as DIB does). */
async function checkNetwork({ recipe, allowNetwork, env }: DibRun): Promise<void> {
  if (allowNetwork || env['DIB_COMPAT'] === 'bug') return;
  const foreign = new Set(recipe.foreign.map((one) => one.name));
  const texts = await hookTexts(recipe.hooks, diskFolders.read);
  const found = fetchingHooks(texts.filter((one) => foreign.has(one.file.element)));
  if (found.length === 0) return;
  const lines = found.map(({ hook, program }) => `${hook.path} of ${hook.element} calls ${program}`);
  throw dibFailure('DIB_NETWORK', lines.join(', '));
}

/** What of the caller's variables this build depends on. */
async function ownVariables({ recipe, env, host }: DibRun): Promise<Record<string, string>> {
  const { environment, scripts } = recipe.hooks;
  const foreign = [...environment, ...[...scripts.values()].flat()].filter(
    (one) => !one.source.startsWith(OWN_ELEMENTS),
  );
  const texts = await Promise.all(foreign.map(async (one) => (await diskFolders.read(one.source)) ?? ''));
  return { ...callerVariables(env, texts), ...(host.offline && { DIB_OFFLINE: '1' }) };
}

/** Everything that can change what hooks do: they do not say what they read, so all of their elements counts. */
async function treeKey(run: DibRun, caller: Readonly<Record<string, string>>): Promise<string> {
  const elements = await Promise.all(
    run.recipe.elements.map(async ({ name, folder }) => [name, await folderDigest(folder)]),
  );
  const { aptSettings: _, ...base } = run.base;
  const { DIB_OFFLINE: _offline, ELEMENTS_PATH: _path, break: _break, ...variables } = caller;
  const root = rootKey({ ...run, packages: run.rootPackages });
  return keyOf([FORMAT, root, run.lists, base, elements, variables, await folderDigest(SHELL)]);
}

/** `./usr/bin/x` as `usr/bin/x`. */
function treePath(name: string): string {
  return name
    .replace(/^(\.?\/)+/, '')
    .replace(/\/+$/, '')
    .replace(/^\.$/, '');
}

async function make(run: DibRun, key: string, caller: Record<string, string>, target: string): Promise<void> {
  const { host, recipe, row, base, progress, signal, trace } = run;
  const texts = await hookTexts(recipe.hooks, diskFolders.read);
  await checkHost(texts);
  const rootTar = await hookRoot({ host, row, base, packages: run.rootPackages, progress, signal });
  const cache = host.cache.path('dib', '');
  for (const one of ['image-create', 'lockfiles']) await mkdir(join(cache, one), { recursive: true });
  const folder = await openWorkspace(host, key);
  try {
    const used = [...recipe.elements.map((one) => one.folder), SHELL, cache, ...Object.values(caller)];
    const place = await fixedPlace(used, folder);
    const places = { build: place, tree: join(place, 'mnt'), hooks: join(place, 'hooks'), shell: SHELL, cache };
    const variables = coreVariables(row, base, recipe.elements, places, caller, trace);
    const inside: Inside = { host, folder, place, cache, variables, signal };
    await layOutHooks(recipe.elements, recipe.hooks, join(folder, 'hooks'));
    // environment.d may say how things are installed, and which hooks there are follows from that.
    const environment = await probeEnvironment(inside);
    const types = installTypes(environment);
    const hooks = await mergeHooks(recipe.elements, diskFolders, types);
    await rm(join(folder, 'hooks'), { recursive: true });
    await layOutHooks(recipe.elements, hooks, join(folder, 'hooks'));
    const data = await readHookData(recipe.elements, hooks, row, environment, types);
    await writeHookData(data, join(folder, 'data'));
    await runPhases(inside, hooks, rootTar, { progress, trace });
    progress.update({ phase: 'read the tree of the hooks' });
    const tree = createReadStream(join(folder, 'tree.tar'), { signal });
    const rows = await readTar(tree, join(target, 'data'), treePath);
    const index = await withDevices(rows, join(folder, 'devices'));
    const requested = [
      ...new Set([...data.packages.values()].flatMap((one) => one.install.map(({ name }) => name))),
    ].toSorted();
    const record = await makeRecord(recipe, hooks, texts, folder, { index, data: join(target, 'data') }, requested);
    await writeFile(join(target, 'index.json'), JSON.stringify(index));
    await writeFile(join(target, 'record.json'), JSON.stringify(record));
  } finally {
    await removeTree(host, folder);
  }
}

/** Whether an earlier build had the same hooks with the same inputs, so that none has to run. */
export async function isRunBefore(run: DibRun): Promise<boolean> {
  const path = run.host.cache.path('dib-trees', await treeKey(run, await ownVariables(run)));
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/**
 * Runs the hooks of elements, phase by phase, in namespaces of their own, and brings back the tree that they leave; or finds in the cache
 * what the same elements, variables and packages gave before.
 * @throws Failure `DIB_HOOK_FAILED` with the hook, its element and its last output; `DIB_NETWORK`, `DIB_NO_SANDBOX`, `DIB_NO_ROOT`, `DIB_BAD_FILE`
 */
export async function runDibElements(run: DibRun): Promise<DibTree> {
  const { host, signal } = run;
  await checkNetwork(run);
  const caller = await ownVariables(run);
  const key = await treeKey(run, caller);
  let cached = true;
  const folder = await host.cache.exclusively(`dib-tree-${key}`, signal, () =>
    host.cache.directory('dib-trees', key, async (target) => {
      cached = false;
      await make(run, key, caller, target);
    }),
  );
  const rows = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as TarIndex;
  const record = JSON.parse(await readFile(join(folder, 'record.json'), 'utf8')) as DibRecord;
  return { entries: indexEntries(rows, join(folder, 'data')), record, cached };
}
