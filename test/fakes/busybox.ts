import { mkdir, mkdtemp, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type RunResult, systemRun } from '../../system/run.ts';

/** A scratch folder in which scripts of elements run as in the ramdisk: by busybox, with nothing but busybox's programs. */
export type Scratch = AsyncDisposable & {
  /** Absolute path; also the root that scripts are told to work in. */
  root: string;
  /** Runs a script; output of both kinds is in the answer, whatever its exit code. */
  script: (path: string, args?: readonly string[], env?: Readonly<Record<string, string>>) => Promise<RunResult>;
};

export async function busyboxScratch(): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-scratch-'));
  const programs = join(folder, 'programs');
  const root = join(folder, 'root');
  await mkdir(programs);
  await mkdir(join(root, 'etc'), { recursive: true });
  await systemRun('busybox', ['--install', '-s', programs]);
  await symlink(await readlink(join(programs, 'sh')), join(programs, 'busybox'));
  return {
    root,
    script: (path, args = [], env = {}) =>
      systemRun(join(programs, 'sh'), [path, ...args], {
        env: { ...env, PATH: programs },
        okExitCodes: Array.from({ length: 256 }, (_, code) => code),
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
