import { usageFailure } from '../../cli/options.ts';

/** Forms of media that kernel and initramfs can be put into, by the ending of their files. */
export const MEDIA_FORMATS = ['iso', 'uki'] as const;
export type MediaFormat = (typeof MEDIA_FORMATS)[number];

/** @throws Failure with exit code 2 */
export function parseFormats(words: readonly string[]): MediaFormat[] {
  const wanted = new Set(words);
  const unknown = words.find((word) => !(MEDIA_FORMATS as readonly string[]).includes(word));
  if (unknown !== undefined)
    throw usageFailure(
      `cannot use --format ${unknown}: it is one of ${MEDIA_FORMATS.join(', ')}`,
      'kernel and initramfs are made in any case',
    );
  return MEDIA_FORMATS.filter((format) => wanted.has(format));
}
