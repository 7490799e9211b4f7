import { createWriteStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Progress } from '../../cli/progress.ts';
import type { BuilderHost } from '../host/door.ts';
import { dibFailure } from './failures.ts';
import type { MergedHooks } from './hooks.ts';
import { PHASES } from './phases.ts';
import { runInSandbox } from './sandbox.ts';
import { keepFailedTree } from './workspace.ts';

/** Scripts that run in the namespaces, and commands for hooks. */
export const SHELL = join(import.meta.dirname, 'shell');

/** How many lines of a failed hook's output the failure shows. */
const LAST_LINES = 20;

/**
 * Where hooks see the folder of their build: the same place in every build, so that nothing of it can get into a result. A mount of
 * the namespace covers it; its own content is not touched.
 * @param used paths that hooks must be able to see
 */
export async function fixedPlace(used: readonly string[], folder: string): Promise<string> {
  for (const place of ['/mnt', '/media', '/srv']) {
    const isFree = !used.some((path) => path === place || path.startsWith(`${place}/`));
    if (isFree && (await stat(place).catch(() => undefined))?.isDirectory()) return place;
  }
  return folder;
}

export type Inside = {
  host: BuilderHost;
  /** Folder of this build. */
  folder: string;
  /** Where hooks see it. */
  place: string;
  /** What they may write to besides. */
  cache: string;
  variables: Readonly<Record<string, string>>;
  signal: AbortSignal;
};

/** The program that makes the tree ready inside the namespaces, with its variables. */
function enter(
  { folder, place, cache, variables }: Omit<Inside, 'host' | 'signal'>,
  args: readonly string[],
  rootTar = '',
) {
  return {
    command: ['bash', join(SHELL, 'enter'), ...args],
    env: {
      ...variables,
      INGOT_WORK: folder,
      INGOT_BUILD: place,
      INGOT_CACHE: cache,
      INGOT_SHELL: SHELL,
      INGOT_ROOT_TAR: rootTar,
      INGOT_PHASES: PHASES.map((one) => `${one.name} ${one.place} ${one.targetRoot ? 'yes' : 'no'}`).join('\n'),
    },
  };
}

/** Variables as they are after all of environment.d, which only bash can tell. */
export async function probeEnvironment(inside: Inside): Promise<Record<string, string>> {
  const lines: string[] = [];
  const { command, env } = enter(inside, ['environment']);
  const { host, signal, folder } = inside;
  const code = await runInSandbox(host, command, { env, signal, onLine: (line) => lines.push(line) });
  if (code !== 0)
    throw dibFailure('DIB_HOOK_FAILED', `a file of environment.d failed\n${lines.slice(-LAST_LINES).join('\n')}`);
  const text = await readFile(join(folder, 'environment'), 'utf8');
  return Object.fromEntries(
    text.split('\0').flatMap((one) => {
      const at = one.indexOf('=');
      return at > 0 ? [[one.slice(0, at), one.slice(at + 1)]] : [];
    }),
  );
}

/** Follows the lines that `enter` and `run-parts` write about what they do. */
function follow(hooks: MergedHooks, progress: Progress, trace: boolean) {
  const owners = new Map(hooks.files.map((file) => [file.path, file.element]));
  const total = [...hooks.scripts.values()].reduce((sum, list) => sum + list.length, 0);
  let done = 0;
  let phase = 'unpack';
  let current = '';
  const label = () => {
    const path = `${phase}.d/${current}`;
    return current === '' ? phase : `${path} of element ${owners.get(path) ?? 'unknown: another hook made it'}`;
  };
  const onEvent = (line: string) => {
    const [kind, name = '', hook = '', code = '', milliseconds = ''] = line.split('\t');
    if (kind === 'phase') [phase, current] = [name, ''];
    if (kind === 'environment') current = '';
    if (kind === 'start') current = hook;
    if (kind === 'leftover')
      progress.log(
        `warning: a hook left something mounted at ${name} of the image; what is in it is not in the ramdisk`,
      );
    if (kind === 'end') {
      done += 1;
      const seconds = Number(milliseconds) / 1000;
      if (trace || seconds >= 1) progress.log(`${label()}: ${seconds.toFixed(1)} s`);
      if (code === '0') current = '';
    }
    progress.update({ phase: 'run hooks', done: Math.min(done, total), total, unit: 'hooks', message: label() });
  };
  return { onEvent, label };
}

/**
 * Runs all phases. A hook that fails leaves its tree behind.
 * @throws Failure `DIB_HOOK_FAILED`
 */
export async function runPhases(
  inside: Inside,
  hooks: MergedHooks,
  rootTar: string,
  { progress, trace }: { progress: Progress; trace: boolean },
): Promise<void> {
  const { host, signal, folder } = inside;
  const last: string[] = [];
  const log = createWriteStream(join(folder, 'log'));
  const { onEvent, label } = follow(hooks, progress, trace);
  const onLine = (line: string) => {
    last.push(line);
    if (last.length > LAST_LINES) last.shift();
    if (trace) progress.log(line);
    log.write(`${line}\n`);
  };
  // Only a build on a terminal can stop for a shell.
  const terminal = (inside.variables['break'] ?? '') !== '' && process.stdin.isTTY;
  const { command, env } = enter(inside, ['build'], rootTar);
  const code = await runInSandbox(host, command, { env, signal, onEvent, onLine, terminal }).finally(() => log.end());
  if (code === 0) return;
  const kept = await keepFailedTree(host, folder, { ...inside.variables, INGOT_BUILD: inside.place });
  throw dibFailure('DIB_HOOK_FAILED', `${label()} ended with exit code ${code}\n${last.join('\n')}`.trimEnd(), {
    hint: `build-ramdisk shell ${kept} opens a shell in its tree`,
  });
}

/**
 * A shell, or a command, in the tree of a failed build, with the variables of its hooks.
 * @returns its exit code
 */
export async function shellInTree(
  host: BuilderHost,
  tree: { folder: string; variables: Record<string, string> },
  command: readonly string[],
  options: { terminal: boolean; signal: AbortSignal; onLine?: (line: string) => void },
): Promise<number> {
  const place = tree.variables['INGOT_BUILD'] ?? tree.folder;
  const entry = enter({ folder: tree.folder, place, cache: tree.folder, variables: tree.variables }, [
    'shell',
    ...command,
  ]);
  return runInSandbox(host, entry.command, { ...options, env: entry.env });
}
