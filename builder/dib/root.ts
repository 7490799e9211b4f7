import { createHash } from 'node:crypto';
import { mkdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import type { Architecture } from '../../arch/table.ts';
import type { Progress } from '../../cli/progress.ts';
import type { BuilderHost } from '../host/door.ts';
import { dibFailure } from './failures.ts';
import { runInSandbox } from './sandbox.ts';
import { type DibBase, SOURCE_DATE_EPOCH } from './variables.ts';

/** Raised when the same packages would give another tree. */
const FORMAT = 1;

/** What hooks find besides the essential packages: what DIB's own Debian element brings, kernel, boot loader and Python apart. */
export const ROOT_PACKAGES: readonly string[] = [
  'adduser',
  'ca-certificates',
  'kmod',
  'netbase',
  'sudo',
  'systemd',
  'udev',
];

export type RootOptions = {
  host: BuilderHost;
  row: Architecture;
  base: DibBase;
  /** Digests of the packages as they are on the mirror now: others make another tree. */
  packages: readonly string[];
  progress: Progress;
  signal: AbortSignal;
};

function explain(complaints: readonly string[], row: Architecture) {
  const text = complaints.join('; ');
  if (/binfmt|neither be executed/.test(text))
    return dibFailure('DIB_NO_ROOT', `this machine cannot run programs for ${row.name}, and hooks are such programs`, {
      hint: 'apt-get install qemu-user-static (or qemu-user-binfmt), or leave elements with hooks out: all else needs no such thing',
    });
  return dibFailure('DIB_NO_ROOT', text || 'mmdebstrap failed', {
    hint: 'check the mirror, and that the disk has room',
  });
}

async function makeRoot(options: RootOptions, target: string): Promise<void> {
  const { host, row, base, progress, signal } = options;
  const temporary = join(dirname(target), `tmp-${basename(target)}`);
  await mkdir(temporary, { recursive: true });
  const args = [
    ['--mode=root', '--variant=minbase', '--format=tar', `--architectures=${row.debian}`],
    ['--aptopt=APT::Install-Recommends "false"', '--aptopt=APT::Sandbox::User "root"'],
    base.aptSettings.map((line) => `--aptopt=${line.replace(/;\s*$/, '')}`),
    [`--include=${ROOT_PACKAGES.join(',')}`, base.release, target, ...base.sources],
  ].flat();
  const complaints: string[] = [];
  const onLine = (line: string) => {
    if (line.startsWith('E: ')) complaints.push(line.slice(3));
    if (line.startsWith('I: ')) progress.update({ phase: 'install the tree for hooks', message: line.slice(3, 63) });
  };
  const env = { TMPDIR: temporary, SOURCE_DATE_EPOCH };
  try {
    // It is root of a namespace, so that it needs neither root here nor a namespace of its own.
    const code = await runInSandbox(host, ['mmdebstrap', ...args], { signal, env, onLine });
    if (code === 127)
      throw dibFailure('DIB_NO_ROOT', 'mmdebstrap is not installed', { hint: 'apt-get install mmdebstrap' });
    if (code !== 0) throw explain(complaints, row);
  } finally {
    const clean = new AbortController();
    await runInSandbox(host, ['rm', '-rf', '--one-file-system', temporary], { signal: clean.signal }).catch(() => 1);
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Name of the tree that these packages make. */
export function rootKey({ row, base, packages }: Pick<RootOptions, 'row' | 'base' | 'packages'>): string {
  const { release, sources } = base;
  return createHash('sha256')
    .update(JSON.stringify([FORMAT, row.name, release, sources, ROOT_PACKAGES, packages]))
    .digest('hex');
}

/**
 * Refuses bases whose tree cannot be made yet.
 * @param title of the release, for people
 * @throws Failure `DIB_NO_ROOT`
 */
export function checkHookBase(family: DibBase['family'], title: string): void {
  if (family !== 'debian')
    throw dibFailure('DIB_NO_ROOT', `elements with hooks run on Debian bases only so far, not on ${title}`, {
      hint: 'take --release trixie, or leave these elements out',
    });
}

/**
 * The tree that hooks run in, as an archive: the distribution's essential packages with their scripts run.
 * @returns its path, in the cache
 * @throws Failure `DIB_NO_ROOT`
 */
export async function hookRoot(options: RootOptions): Promise<string> {
  const { host, base, signal } = options;
  checkHookBase(base.family, base.distribution);
  const key = rootKey(options);
  return host.cache.exclusively(`dib-root-${key}`, signal, async () => {
    const path = host.cache.path('dib-roots', `${key}.tar`);
    if (await stat(path).catch(() => undefined)) return path;
    if (host.offline)
      throw dibFailure('DIB_NO_ROOT', 'the cache does not have it, and nothing may be fetched', {
        hint: 'run the same build once without --offline',
      });
    return host.cache.file('dib-roots', `${key}.tar`, (temporary) => makeRoot(options, temporary));
  });
}
