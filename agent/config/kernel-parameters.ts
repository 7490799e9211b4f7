/**
 * Text of /proc/cmdline, or of `parameters.txt` on virtual media, to parameters: split at blanks, then at the first `=`;
 * words without `=` are nobody's, the last of several wins, and quotes are characters like any other (as IPA reads it).
 */
export function parseKernelParameters(text: string): Map<string, string> {
  const pairs = text
    .split(/\s+/)
    .filter((word) => word.indexOf('=') > 0)
    .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)] as const);
  return new Map(pairs);
}
