import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

import type { BuilderHost } from '../../builder/host/door.ts';
import type { Progress } from '../../cli/progress.ts';
import { prepareRamdisk, type RamdiskLab } from '../../test/lab/demo/prepare.ts';
import type { Steps } from '../../test/lab/demo/steps.ts';
import { findPlatform } from '../../test/lab/platform.ts';
import { userImage } from '../../test/lab/user-image.ts';
import type { Ramdisk } from './contender.ts';
import { ipaRamdisk } from './ipa-ramdisk.ts';

export type Prepared = Pick<RamdiskLab, 'machine' | 'acceleration'> & {
  own: Ramdisk;
  peer: Ramdisk;
  /** The image that both write. */
  image: { folder: string; name: string; bytes: number; virtualBytes: number; sha256: string };
};

/** Kernel and agent by the build's own manifest. */
async function describeBuild(kernel: string): Promise<string> {
  const path = kernel.replace(/\.kernel$/, '.manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as {
    release?: unknown;
    kernel?: { version?: unknown };
    packages?: readonly unknown[];
  };
  const { release, kernel: { version } = {}, packages = [] } = manifest;
  return `the default build, ${String(release)}, Linux ${String(version)}, ${packages.length} packages`;
}

/** Both ramdisks and the image, from the cache where they are there. */
export async function prepareContenders(
  options: { host: BuilderHost; folder: string; mirror: readonly string[]; progress: Progress; signal: AbortSignal },
  steps: Steps,
): Promise<Prepared> {
  const { host, mirror, signal } = options;
  const { machine, acceleration, tools, ramdisk } = await prepareRamdisk(options, steps);
  const peer = await steps.run('ramdisk with ironic-python-agent', (progress) =>
    ipaRamdisk({ host, mirror, progress, signal, arch: machine.arch }),
  );
  const platform = findPlatform(machine.arch);
  const image = await steps.run('make user image', (progress) =>
    userImage({ host, tools, platform, progress, signal, mirror }),
  );
  const { path, bytes, sha256 } = image.qcow2;
  return {
    machine,
    acceleration,
    own: { ...ramdisk, name: 'Ingot', description: await describeBuild(ramdisk.kernel) },
    peer,
    image: { folder: dirname(path), name: basename(path), bytes, virtualBytes: image.virtualBytes, sha256 },
  };
}
