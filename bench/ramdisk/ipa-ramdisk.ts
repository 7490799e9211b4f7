import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

import { findArchitecture } from '../../arch/table.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { toolCommand, toolSysroot } from '../../builder/sysroot.ts';
import type { Progress } from '../../cli/progress.ts';
import { toolsIn } from '../../machine/tools.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import { makeRootArchive, shellWord } from '../../test/lab/root-archive.ts';
import { benchFailure } from '../failures.ts';
import type { Ramdisk } from './contender.ts';
import { type IpaRecipe, ipaRecipe } from './ipa-recipe.ts';

export type MakeOptions = {
  host: BuilderHost;
  arch: string;
  /** As `--mirror` of build-ramdisk. */
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
};

type Work = MakeOptions & { recipe: IpaRecipe; folder: string };

/** What is kept beside the two files. */
type Facts = { version: string; packages: number };

/** Owners and modes are those of the entry, whoever makes the archive. */
async function writeOverlay({ recipe, folder }: Work): Promise<string> {
  const path = join(folder, 'overlay.tar');
  const archive = pack();
  for (const { path: name, text, mode = 0o644 } of recipe.files) archive.entry({ name, mode, uid: 0, gid: 0 }, text);
  archive.finalize();
  await pipeline(archive, createWriteStream(path));
  return path;
}

/** The version of the agent's package and how many packages there are, by dpkg's own status file. */
export function readStatus(status: string): Facts {
  const stanzas = status.split(/\n\n+/).filter((text) => /^Status: install ok/m.test(text));
  const agent = stanzas.find((text) => /^Package: ironic-python-agent$/m.test(text)) ?? '';
  return { version: /^Version: (.+)$/m.exec(agent)?.[1] ?? 'unknown', packages: stanzas.length };
}

async function takeKernel({ folder, host, signal }: Work, root: string): Promise<void> {
  const tar = async (pattern: string) =>
    host.run('tar', ['-C', folder, '--wildcards', '--strip-components=1', '-xf', root, pattern], { signal });
  await tar('./boot/vmlinuz-*');
  await tar('./var/lib/dpkg/status');
  const { stdout } = await host.run('find', [folder, '-name', 'vmlinuz-*', '-type', 'f'], { signal });
  await host.run('mv', [stdout.trim(), join(folder, 'ipa.kernel')], { signal });
  const status = join(folder, 'var', 'lib', 'dpkg', 'status');
  await writeFile(join(folder, 'ipa.json'), JSON.stringify(readStatus(await readFile(status, 'utf8'))));
}

/** libarchive turns one archive into another without unpacking: owners and times stay, and Python's byte-code with them valid. */
async function packInitramfs(work: Work, root: string): Promise<void> {
  const { host, recipe, folder, progress, signal } = work;
  const sysroot = await toolSysroot({ ...work, packages: ['libarchive-tools'] });
  const tools = toolsIn(sysroot, (program) => toolCommand(sysroot, program), host.run);
  progress.update({ phase: 'pack the initramfs', message: `zstd -${recipe.zstdLevel}, a minute or two` });
  const args = [
    ['-cf', join(folder, 'ipa.initramfs'), '--format=newc', '--zstd'],
    ['--options', `zstd:compression-level=${recipe.zstdLevel},zstd:threads=2`],
    recipe.pruned.flatMap((pattern) => ['--exclude', `./${pattern}`]),
    [`@${root}`],
  ].flat();
  await tools.run('/usr/bin/bsdtar', args, { signal });
}

async function make(work: Work): Promise<void> {
  const { recipe, folder } = work;
  // In a namespace of its own mmdebstrap is another user, who has to be able to come this way.
  await chmod(folder, 0o755);
  const overlay = await writeOverlay(work);
  const root = join(folder, 'root.tar');
  await makeRootArchive(root, {
    ...work,
    ...recipe,
    hooks: [
      `--customize-hook=tar-in ${shellWord(overlay)} /`,
      `--customize-hook=chroot "$1" sh -c ${shellWord(recipe.finish)}`,
    ],
    fail: (complaints, cause) => benchFailure('PEER_RAMDISK', `mmdebstrap says: ${complaints}`, { cause }),
  });
  await takeKernel(work, root);
  await packInitramfs(work, root);
  for (const name of ['overlay.tar', 'root.tar', 'boot', 'var', 'lib'])
    await rm(join(folder, name), { recursive: true, force: true });
}

/**
 * A ramdisk with the real ironic-python-agent, made once (some six minutes) or found in the cache.
 * @throws Failure `PEER_RAMDISK` with what the tool said
 */
export async function ipaRamdisk(options: MakeOptions): Promise<Ramdisk> {
  const row = findArchitecture(options.arch);
  if (row === undefined) throw benchFailure('PEER_RAMDISK', `no architecture is called ${options.arch}`);
  const recipe = ipaRecipe(row.kernelPackage);
  const digest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
  const { cache } = options.host;
  const folder = await cache
    .exclusively(`ipa-ramdisk-${digest}`, options.signal, () =>
      cache.directory('ipa-ramdisks', digest, (temporary) => make({ ...options, recipe, folder: temporary })),
    )
    .catch((error: unknown) => {
      options.signal.throwIfAborted();
      throw error instanceof Failure && error.code === 'PEER_RAMDISK'
        ? error
        : benchFailure('PEER_RAMDISK', reasonOf(error), { cause: error });
    });
  const [kernel, initramfs] = [join(folder, 'ipa.kernel'), join(folder, 'ipa.initramfs')];
  const { version, packages } = JSON.parse(await readFile(join(folder, 'ipa.json'), 'utf8')) as Facts;
  return {
    name: 'IPA',
    description: `ironic-python-agent ${version}, Debian ${recipe.release}, ${packages} packages`,
    kernel,
    initramfs,
    kernelBytes: (await stat(kernel)).size,
    initramfsBytes: (await stat(initramfs)).size,
  };
}
