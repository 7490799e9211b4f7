import { ROOT_IN_MEMORY } from '../../arch/parameters.ts';
import type { Architecture } from '../../arch/table.ts';

/** What the kernel and the loaders on media are told, whatever form the media has. */
export type Media = {
  row: Architecture;
  /** One line for people: what starts. */
  title: string;
  kernelVersion: string;
  /** The kernel as firmware starts it, not compressed once more around that. */
  kernel: { bytes: number; pieces: () => AsyncIterable<Uint8Array> };
  /** The initramfs as it was written. */
  initramfs: { path: string; bytes: number; sha256: string };
  /** As `--append`. */
  append: string;
};

/** The time that files on media have, in seconds: the first that a FAT can say, 1980. */
export const MEDIA_EPOCH = 315_532_800;

/**
 * Kernel parameters on media: the screen, and the serial console, which is the main one, because the last is. Without a speed
 * the kernel sets 9600 bit/s; firmware and BMCs of servers use 115200. Never `earlycon` or `mem=`: a loongarch64 kernel loses its
 * initramfs with either.
 */
export function mediaCommandLine({ row, append }: Pick<Media, 'row' | 'append'>): string {
  return [ROOT_IN_MEMORY, 'console=tty0', `console=${row.boot.console},115200`, append.trim()]
    .filter(Boolean)
    .join(' ');
}
