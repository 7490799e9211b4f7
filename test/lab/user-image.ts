import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

import type { BuilderHost } from '../../builder/host/door.ts';
import type { Progress } from '../../cli/progress.ts';
import type { Tools } from '../../machine/tools.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import { diskLayout, SECTOR_BYTES } from './disk-layout.ts';
import { labFailure } from './failures.ts';
import type { Platform } from './platform.ts';
import { makeRootArchive, shellWord } from './root-archive.ts';
import { type UserImageRecipe, userImageRecipe } from './user-image-recipe.ts';

export type ImageForm = { path: string; bytes: number; sha256: string; sha512: string };

export type UserImage = {
  /** Digest of the recipe. */
  digest: string;
  raw: ImageForm;
  qcow2: ImageForm;
  /** What the machine sees as the disk's size, bytes. */
  virtualBytes: number;
  /** Seconds that each part of making it took, when it was made. */
  seconds: Record<string, number>;
};

export type UserImageOptions = {
  host: BuilderHost;
  tools: Tools;
  platform: Platform;
  progress: Progress;
  signal: AbortSignal;
  /** As `--mirror`; APT's own sources unless said. */
  mirror?: readonly string[];
};

type Work = UserImageOptions & { recipe: UserImageRecipe; folder: string };

/** Owners and modes are those of the entry, whoever makes the archive. */
async function writeOverlay(recipe: UserImageRecipe, path: string): Promise<void> {
  const archive = pack();
  for (const file of recipe.files)
    archive.entry({ name: file.path, mode: file.mode ?? 0o644, uid: 0, gid: 0 }, file.text);
  archive.finalize();
  await pipeline(archive, createWriteStream(path));
}

/** The root tree as one archive. */
async function makeTree(work: Work): Promise<void> {
  const { recipe, folder, host, signal, progress } = work;
  const overlay = join(folder, 'overlay.tar');
  await writeOverlay(recipe, overlay);
  await makeRootArchive(join(folder, 'root.tar'), {
    host,
    release: recipe.release,
    packages: recipe.packages,
    excluded: recipe.excluded,
    hooks: [
      `--customize-hook=tar-in ${shellWord(overlay)} /`,
      `--customize-hook=chroot "$1" sh -c ${shellWord(recipe.finish)}`,
    ],
    mirror: work.mirror ?? [],
    progress,
    signal,
    fail: (complaints, cause) => labFailure('USER_IMAGE', `mmdebstrap says: ${complaints}`, { cause }),
  });
}

/** The files of the ESP: systemd-boot, its settings, the kernel and its initramfs. */
async function fillEsp(work: Work, imageAt: string): Promise<void> {
  const { folder, host, tools, platform, recipe, signal } = work;
  const esp = join(folder, 'esp');
  const extracted = join(folder, 'boot');
  await mkdir(extracted);
  await host.run(
    'tar',
    [
      '-C',
      extracted,
      '--wildcards',
      '-xf',
      join(folder, 'root.tar'),
      `./${platform.bootLoader}`,
      './boot/vmlinuz-*',
      './boot/initrd.img-*',
    ],
    { signal },
  );
  const { stdout } = await host.run('find', [join(extracted, 'boot'), '-type', 'f'], { signal });
  const named = (start: string) => stdout.split('\n').find((path) => path.includes(`/boot/${start}-`)) ?? '';
  const entry = `title Debian\nlinux /debian/vmlinuz\ninitrd /debian/initrd.img\noptions ${recipe.kernelCommandLine}\n`;
  const files: [target: string, source: string | { text: string }][] = [
    [platform.removableLoader, join(extracted, platform.bootLoader)],
    ['loader/loader.conf', { text: 'timeout 0\neditor no\n' }],
    ['loader/entries/debian.conf', { text: entry }],
    ['debian/vmlinuz', named('vmlinuz')],
    ['debian/initrd.img', named('initrd.img')],
  ];
  for (const [target, source] of files) {
    await mkdir(dirname(join(esp, target)), { recursive: true });
    await writeFile(join(esp, target), typeof source === 'string' ? await readFile(source) : source.text);
  }
  await tools.run(
    '/usr/bin/mcopy',
    ['-i', imageAt, '-s', '-Q', join(esp, 'EFI'), join(esp, 'loader'), join(esp, 'debian'), '::/'],
    { signal },
  );
}

/** GPT, ESP and root file system in one sparse file, by tools that write into files: no loop device, no mount, no root. */
async function assemble(work: Work): Promise<void> {
  const { folder, tools, recipe, platform, progress, signal } = work;
  progress.update({ phase: 'assemble disk' });
  const raw = join(folder, 'user.raw');
  const layout = diskLayout(recipe.sizeMiB, recipe.espMiB);
  const uuid = (name: string) => uuidOf(`${recipeDigest(recipe)} ${name}`);
  await writeFile(raw, '');
  await truncate(raw, recipe.sizeMiB * 2 ** 20);
  const { esp, root } = layout;
  const run = (program: string, args: readonly (readonly string[])[]) => tools.run(program, args.flat(), { signal });
  await run('/usr/sbin/sgdisk', [
    ['--clear', `--disk-guid=${uuid('disk')}`, `--new=1:${esp.firstSector}:${esp.lastSector}`, '--typecode=1:ef00'],
    ['--change-name=1:ESP', `--partition-guid=1:${uuid('esp')}`, `--new=2:${root.firstSector}:${root.lastSector}`],
    [`--typecode=2:${platform.rootPartitionType}`, '--change-name=2:root', `--partition-guid=2:${uuid('root')}`, raw],
  ]);
  await run('/usr/sbin/mkfs.vfat', [
    // Two sectors a cluster: firmware takes a file system for FAT32 only when it has 65525 clusters or more.
    ['-F', '32', '-s', '2', '-n', 'ESP', '-i', uuid('fat').slice(0, 8), '-h', String(esp.firstSector)],
    ['--offset', String(esp.firstSector), raw, String(esp.bytes / 1024)],
  ]);
  await fillEsp(work, `${raw}@@${esp.firstSector * SECTOR_BYTES}`);
  await run('/usr/sbin/mke2fs', [
    ['-q', '-F', '-t', 'ext4', '-L', 'root', '-U', uuid('ext4'), '-m', '1', '-E'],
    [`offset=${root.firstSector * SECTOR_BYTES},hash_seed=${uuid('hash')},lazy_itable_init=0,root_owner=0:0`],
    ['-d', join(folder, 'root.tar'), raw, `${root.bytes / 1024}k`],
  ]);
}

/** A UUID (version 8: our own rule) from a text, so that the same recipe gives the same disk. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-');
}

export function recipeDigest(recipe: UserImageRecipe): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
}

/** Length and checksums of a file. */
export async function describeForm(path: string): Promise<Omit<ImageForm, 'path'>> {
  const sha256 = createHash('sha256');
  const sha512 = createHash('sha512');
  for await (const piece of createReadStream(path, { highWaterMark: 4 * 2 ** 20 })) {
    sha256.update(piece as Uint8Array);
    sha512.update(piece as Uint8Array);
  }
  return { bytes: (await stat(path)).size, sha256: sha256.digest('hex'), sha512: sha512.digest('hex') };
}

async function make(work: Work): Promise<void> {
  const { folder, tools, progress, signal } = work;
  const seconds: Record<string, number> = {};
  const timed = async <T>(name: string, part: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await part();
    seconds[name] = Math.round((performance.now() - start) / 100) / 10;
    return result;
  };
  // In a namespace of its own mmdebstrap is another user, who has to be able to come this way.
  await chmod(folder, 0o755);
  await timed('packages', () => makeTree(work));
  await timed('assemble', () => assemble(work));
  const raw = join(folder, 'user.raw');
  const qcow2 = join(folder, 'user.qcow2');
  progress.update({ phase: 'compress to qcow2' });
  await timed('qcow2', () =>
    tools.run('/usr/bin/qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, qcow2], { signal }),
  );
  progress.update({ phase: 'checksums' });
  const forms = await timed('checksums', async () => ({
    raw: await describeForm(raw),
    qcow2: await describeForm(qcow2),
  }));
  await writeFile(join(folder, 'user.json'), JSON.stringify({ ...forms, seconds }, undefined, 2));
  for (const name of ['overlay.tar', 'root.tar', 'esp', 'boot']) await rm(join(folder, name), { recursive: true });
}

/**
 * A real operating system image (GPT, ESP, ext4, systemd, cloud-init, SSH) as raw and as qcow2, made from Debian packages or
 * found in the cache.
 * @throws Failure `USER_IMAGE` with what the tool said
 */
export async function userImage(options: UserImageOptions): Promise<UserImage> {
  const recipe = userImageRecipe(options.platform);
  const digest = recipeDigest(recipe);
  const { cache } = options.host;
  const folder = await cache
    .exclusively(`user-image-${digest}`, options.signal, () =>
      cache.directory('user-images', digest, (temporary) => make({ ...options, recipe, folder: temporary })),
    )
    .catch((error: unknown) => {
      options.signal.throwIfAborted();
      throw error instanceof Failure && error.code === 'USER_IMAGE'
        ? error
        : labFailure('USER_IMAGE', reasonOf(error), { cause: error });
    });
  const facts = JSON.parse(await readFile(join(folder, 'user.json'), 'utf8')) as {
    raw: Omit<ImageForm, 'path'>;
    qcow2: Omit<ImageForm, 'path'>;
    seconds: Record<string, number>;
  };
  return {
    digest,
    raw: { path: join(folder, 'user.raw'), ...facts.raw },
    qcow2: { path: join(folder, 'user.qcow2'), ...facts.qcow2 },
    virtualBytes: recipe.sizeMiB * 2 ** 20,
    seconds: facts.seconds,
  };
}
