import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { GrubPlatform } from '../../arch/table.ts';
import { type Media, mediaCommandLine } from './parts.ts';

/** Where things are on an ISO. */
export const ON_ISO = {
  kernel: 'ingot/kernel',
  initramfs: 'ingot/initramfs',
  grub: 'boot/grub',
  /** Tells this ISO from any other that the machine may see. */
  marker: ({ initramfs }: Pick<Media, 'initramfs'>) => `ingot/${initramfs.sha256.slice(0, 32)}`,
};

/**
 * Kernel parameters as words of GRUB's language. It escapes quotes within a word and puts a word with spaces into quotes: what was
 * `key="two words"` reaches the kernel as `"key=two words"`, which is the same to it.
 */
function grubWords(line: string): string {
  const words = line.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  const quoted = (word: string) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
  return words.map((word) => quoted(word.replaceAll('"', ''))).join(' ');
}

/** The menu, on the ISO: who has a keyboard can change a line of it before it starts. */
export function grubMenu(media: Media): string {
  return [
    'set default=0',
    'set timeout=1',
    `menuentry '${media.title.replaceAll("'", '')}' {`,
    `  linux /${ON_ISO.kernel} ${grubWords(mediaCommandLine(media))}`,
    `  initrd /${ON_ISO.initramfs}`,
    '}',
    '',
  ].join('\n');
}

/** What is built into GRUB: it finds the ISO that it came from, whatever firmware calls that, and reads the menu there. */
function grubStart(media: Media): string {
  return `search --no-floppy --set=root --file /${ON_ISO.marker(media)}\nset prefix=($root)/${ON_ISO.grub}\n`;
}

const MODULES = ['normal', 'configfile', 'search', 'search_fs_file', 'linux', 'iso9660', 'part_gpt', 'part_msdos'];
const UEFI_MODULES = ['fat', 'all_video'];
const BIOS_MODULES = ['biosdisk', 'vbe'];

/** Runs a program of the tool tree. */
export type RunTool = (program: string, args: readonly string[]) => Promise<unknown>;

/**
 * Makes GRUB's program for a platform, with all modules that it needs in it.
 * @param modules root of a tree with the platform's package
 * @param path the file to write: an EFI program, or the boot image of a CD
 */
export async function makeGrub(
  run: RunTool,
  platform: GrubPlatform,
  modules: string,
  media: Media,
  path: string,
): Promise<void> {
  const start = `${path}.cfg`;
  await writeFile(start, grubStart(media));
  const format = platform.bios ? `${platform.name}-eltorito` : platform.name;
  const words = [
    ['-O', format, '-d', join(modules, 'usr/lib/grub', platform.name)],
    ['-p', `/${ON_ISO.grub}`, '-c', start, '-o', path],
    MODULES,
    platform.bios ? BIOS_MODULES : UEFI_MODULES,
  ];
  await run('/usr/bin/grub-mkimage', words.flat());
}
