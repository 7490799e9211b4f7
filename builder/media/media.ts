import { join } from 'node:path';

import type { Architecture } from '../../arch/table.ts';
import { chooseBase } from '../bases.ts';
import type { BuildOptions } from '../context.ts';
import { makeOutput, type OutputFile } from '../output.ts';
import { toolCommand, toolSysroot } from '../sysroot.ts';
import type { MediaFormat } from './formats.ts';
import { MEDIA_ENVIRONMENT, writeIso } from './iso.ts';
import type { Media } from './parts.ts';
import { writeUki } from './uki.ts';

const ENDINGS: Record<MediaFormat, string> = { iso: 'iso', uki: 'efi' };

type Trees = Pick<BuildOptions, 'host' | 'progress' | 'signal' | 'mirror'>;

/** The release of Debian that boot loaders come from: the first that has the architecture, whatever the ramdisk is made of. */
const loaderRelease = (row: Architecture) => chooseBase(row, undefined, 'debian').name;

/** Debian's scripts would need these; nothing of their files is needed here. */
const NEEDLESS = ['debconf', 'systemd', 'systemd-boot', 'systemd-boot-tools'];

/** Boot loaders of an architecture, unpacked. */
function loaders({ host, progress, signal, mirror }: Trees, row: Architecture, packages: readonly string[]) {
  return toolSysroot({
    host,
    progress,
    signal,
    packages,
    release: loaderRelease(row),
    arch: row.name,
    without: [...NEEDLESS, 'grub-common', 'grub2-common'],
    ...(mirror && { mirror }),
  });
}

async function isoTools(trees: Trees, row: Architecture) {
  const { host, progress, signal, mirror } = trees;
  // GRUB's tools of the same release as its modules.
  const root = await toolSysroot({
    host,
    progress,
    signal,
    release: loaderRelease(row),
    // grub-mkimage is in the one or the other.
    packages: ['grub-common', 'grub2-common', 'xorriso', 'mtools', 'dosfstools'],
    without: [...NEEDLESS, 'gettext-base'],
    ...(mirror && { mirror }),
  });
  const modules = await loaders(
    trees,
    row,
    row.boot.grub.map((one) => one.package),
  );
  const run = (program: string, args: readonly string[]) => {
    const [file, ...words] = toolCommand(root, program);
    return host.run(file, [...words, ...args], { signal, env: MEDIA_ENVIRONMENT });
  };
  return { run, modules };
}

/**
 * Writes one form of media beside kernel and initramfs.
 * @param base path of the results without their endings
 */
export async function writeMedia(format: MediaFormat, trees: Trees, media: Media, base: string): Promise<OutputFile> {
  const { progress, signal } = trees;
  const path = `${base}.${ENDINGS[format]}`;
  if (format === 'uki') {
    const root = await loaders(trees, media.row, ['systemd-boot-efi']);
    const stub = join(root, 'usr/lib/systemd/boot/efi', media.row.boot.stub);
    progress.update({ phase: `write ${format}` });
    return makeOutput(path, (_folder, file) => writeUki(media, stub, file, signal), signal);
  }
  const tools = await isoTools(trees, media.row);
  progress.update({ phase: `write ${format}` });
  return makeOutput(path, (folder, file) => writeIso(tools, media, folder, file), signal);
}
