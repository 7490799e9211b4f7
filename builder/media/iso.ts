import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { makeGrub, grubMenu, ON_ISO, type RunTool } from './grub.ts';
import { uuidOf } from '../uuid.ts';
import { MEDIA_EPOCH, type Media } from './parts.ts';

const ISO_DATE = '1980010100000000';
const EFI_FOLDER = 'EFI/BOOT';
const ELTORITO = `${ON_ISO.grub}/eltorito.img`;
const MIB = 2 ** 20;

/** Environment for the tools: one time for all, one time zone, nobody's settings. */
export const MEDIA_ENVIRONMENT = {
  SOURCE_DATE_EPOCH: String(MEDIA_EPOCH),
  TZ: 'UTC',
  MTOOLSRC: '/dev/null',
  MTOOLS_SKIP_CHECK: '1',
};

export type IsoTools = {
  /** Runs a program of the tree with GRUB's tools, xorriso, mtools and mkfs.vfat. */
  run: RunTool;
  /** Root of the tree with GRUB's modules for the architecture. */
  modules: string;
};

async function writeBytes(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'w', 0o644);
  try {
    for await (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}

/** A FAT with the EFI loader under all of its names: what UEFI starts from a CD and from a USB stick. */
async function efiImage({ run }: IsoTools, media: Media, loader: string, path: string): Promise<void> {
  const size = (await stat(loader)).size * media.row.boot.efiFiles.length;
  await writeFile(path, '');
  const file = await open(path, 'r+');
  await file.truncate((Math.ceil(size / MIB) + 1) * MIB).finally(() => file.close());
  const serial = media.initramfs.sha256.slice(0, 8);
  await run('/usr/sbin/mkfs.vfat', ['--invariant', '-F', '12', '-n', 'INGOT', '-i', serial, path]);
  await run('/usr/bin/mtools', ['-c', 'mmd', '-i', path, '::/EFI', `::/${EFI_FOLDER}`]);
  for (const name of media.row.boot.efiFiles)
    await run('/usr/bin/mtools', ['-c', 'mcopy', '-i', path, loader, `::/${EFI_FOLDER}/${name}`]);
}

/** Its name, as file managers and `blkid` show it. */
export const isoLabel = ({ row }: Pick<Media, 'row'>) => `INGOT_${row.name.toUpperCase()}`;

/**
 * Writes an ISO that starts from a CD and from a USB stick, by UEFI and, where the architecture has one, by BIOS.
 * @param folder an empty folder for what goes in
 * @param path the file to write
 */
export async function writeIso(tools: IsoTools, media: Media, folder: string, path: string): Promise<void> {
  const root = join(folder, 'root');
  for (const part of [ON_ISO.grub, EFI_FOLDER, dirname(ON_ISO.kernel)])
    await mkdir(join(root, part), { recursive: true });
  const { grub, efiFiles } = media.row.boot;
  const loader = join(folder, 'loader.efi');
  const image = join(folder, 'efi.img');
  const boots: string[] = [];
  for (const platform of grub) {
    if (platform.bios) {
      await makeGrub(tools.run, platform, tools.modules, media, join(folder, 'eltorito.img'));
      const hybrid = join(tools.modules, 'usr/lib/grub', platform.name, 'boot_hybrid.img');
      boots.push('-b', ELTORITO, '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', '--grub2-boot-info');
      boots.push('--grub2-mbr', hybrid, '-eltorito-alt-boot');
      continue;
    }
    await makeGrub(tools.run, platform, tools.modules, media, loader);
    await efiImage(tools, media, loader, image);
  }
  await writeFile(join(root, ON_ISO.grub, 'grub.cfg'), grubMenu(media));
  await writeFile(join(root, ON_ISO.marker(media)), `${media.title}\n`);
  await writeBytes(join(root, ON_ISO.kernel), media.kernel.pieces());
  const grafts = [
    [ON_ISO.initramfs, media.initramfs.path],
    ...efiFiles.map((name) => [`${EFI_FOLDER}/${name}`, loader]),
    ...(boots.length > 0 ? [[ELTORITO, join(folder, 'eltorito.img')]] : []),
  ].map((pair) => pair.map((word) => word.replaceAll(/[\\=]/g, (letter) => `\\${letter}`)).join('='));
  const disk = uuidOf(media.initramfs.sha256);
  const words = [
    ['-as', 'mkisofs', '-quiet', '-o', path, '-V', isoLabel(media), '-A', media.title, '-no-pad'],
    ['-r', '-dir-mode', '0555', '-file-mode', '0444'],
    ['--set_all_file_dates', ISO_DATE, `--modification-date=${ISO_DATE}`, '--gpt_disk_guid', disk],
    ['-partition_offset', '16', '-append_partition', '2', '0xef', image, '-appended_part_as_gpt'],
    boots,
    ['-e', '--interval:appended_partition_2:all::', '-no-emul-boot', '-graft-points', root],
    grafts,
  ];
  await tools.run('/usr/bin/xorriso', words.flat());
}
