import { formatBytes, formatSeconds } from '../../cli/progress.ts';
import type { Checksum } from '../image/checksum.ts';
import type { ImageOutline } from '../image/plan.ts';
import type { WrittenImage } from '../image/write.ts';
import type { Target } from './target.ts';

function targetText({ path, kind, sizeBytes, sectorBytes, description }: Target): string {
  const size = `${formatBytes(sizeBytes)} (${sizeBytes} bytes)`;
  const words = [kind === 'file' ? 'regular file' : kind, size, `sectors of ${sectorBytes} bytes`, description];
  return `${path}: ${words.filter(Boolean).join(', ')}`;
}

function formatOf({ format, compression }: Pick<ImageOutline, 'format' | 'compression'>): string {
  return compression ? `${format} in ${compression}` : format;
}

/** What a dry run says to people. */
export function planText(
  target: Target,
  image: ImageOutline & { source: string; checksum: Checksum | undefined },
): string {
  const { source, imageBytes, fileBytes, allocatedBytes, checksum } = image;
  const file = fileBytes === undefined ? 'a file of unknown length' : `a file of ${formatBytes(fileBytes)}`;
  const disk =
    imageBytes === undefined
      ? 'a disk of a size that shows when it is unpacked'
      : `a disk of ${formatBytes(imageBytes)} (${imageBytes} bytes)`;
  return [
    `would write   ${source}`,
    `  which is    ${formatOf(image)}, ${file}, ${disk}`,
    ...(allocatedBytes === undefined
      ? []
      : [`  with data   ${formatBytes(allocatedBytes)}; the rest is made to read as zeros`]),
    `  checked by  ${checksum ? `${checksum.algorithm}:${checksum.hex}` : 'nothing (--checksum none)'}`,
    `to            ${targetText(target)}`,
    ...target.passed.map((name) => `  in order    ${name}`),
    ...target.refusals.map((why) => `  REFUSED     ${why}`),
    '',
  ].join('\n');
}

/** The last word to people. */
export function writtenText(target: Target, image: WrittenImage, isVerified: boolean, seconds: number): string {
  const { fileBytes, imageBytes, checksum, verified, zeros } = image;
  const proof = `${checksum.algorithm}:${checksum.hex}`;
  return [
    `${isVerified ? 'written and verified' : 'written, NOT verified'}: ${target.path}`,
    `  ${formatOf(image)}, ${formatBytes(fileBytes)} for a disk of ${formatBytes(imageBytes)}, in ${formatSeconds(seconds)}`,
    `  read back: ${verified.level}, ${formatBytes(verified.bytes)}${zeros === undefined ? '' : `; zeros by ${zeros}`}`,
    `  ${proof}${isVerified ? '' : ' (what the file hashed to; nobody said what it should)'}`,
    '',
  ].join('\n');
}
