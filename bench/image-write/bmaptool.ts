import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { BuilderHost } from '../../builder/host/door.ts';
import { toolCommand, toolSysroot } from '../../builder/sysroot.ts';
import type { Progress } from '../../cli/progress.ts';

/**
 * Debian's bmaptool and the Python that runs it, unpacked into the cache: nothing is installed.
 * @returns the words that start it
 */
export async function findBmaptool(options: {
  host: BuilderHost;
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
}): Promise<string[]> {
  const root = await toolSysroot({
    ...options,
    packages: ['bmap-tools', 'python3-minimal', 'libpython3-stdlib', 'zstd'],
  });
  const programs = await readdir(join(root, 'usr/bin'));
  const python = programs.find((name) => /^python3\.\d+$/.test(name)) ?? 'python3';
  const words = toolCommand(root, `/usr/bin/${python}`);
  // It finds its own library by where it is; bmaptool's is beside that.
  return [
    'env',
    `PYTHONHOME=${root}/usr`,
    `PYTHONPATH=${root}/usr/lib/python3/dist-packages`,
    ...words,
    join(root, 'usr/bin/bmaptool'),
  ];
}
