import { hostSettings } from '../../builder/debian/apt.ts';
import { findMirror } from '../../builder/debian/mirror.ts';
import { readDibElements } from '../../builder/dib/recipe.ts';
import { type DibTree, runDibElements } from '../../builder/dib/run.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { findArchitecture } from '../../arch/table.ts';
import type { Progress } from '../../cli/progress.ts';

export type LabHooks = {
  host: BuilderHost;
  /** Names of elements, all of them in the format of diskimage-builder: none of Ingot stands for them. */
  names: readonly string[];
  path: readonly string[];
  env?: Readonly<Record<string, string>>;
  allowNetwork?: boolean;
  progress: Progress;
  signal: AbortSignal;
};

/** Runs the hooks of elements as a build for Debian trixie on x86_64 does, without the rest of the build. */
export async function runHooks({
  host,
  names,
  path,
  env = {},
  allowNetwork = false,
  progress,
  signal,
}: LabHooks): Promise<DibTree> {
  const row = findArchitecture('x86_64');
  if (row === undefined) throw new Error('there is no x86_64');
  const mirror = await findMirror([]);
  const recipe = await readDibElements({ names, path, isNative: () => false, env });
  return runDibElements({
    host,
    recipe,
    row,
    base: {
      distribution: 'debian',
      release: 'trixie',
      family: 'debian',
      mirror: mirror.main,
      sources: [`deb ${mirror.main} trixie main`],
      aptSettings: await hostSettings(host, signal),
    },
    env,
    // One tree for all tests, whatever the mirror has meanwhile.
    rootPackages: ['lab'],
    lists: 'lab',
    trace: false,
    allowNetwork,
    progress,
    signal,
  });
}
