import { usageFailure } from '../../cli/options.ts';

/**
 * Splits a text into words as a POSIX shell does it, quotes and backslashes included; nothing is expanded.
 * @throws Failure with exit code 2 when a quote is not closed
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] ?? '';
    const escapes = letter === '\\' && quote !== "'" && (quote === '' || /["\\$`\n]/.test(text[at + 1] ?? ''));
    if (escapes) word = (word ?? '') + (text[(at += 1)] ?? '');
    else if (quote !== '' ? letter === quote : letter === '"' || letter === "'") {
      quote = quote === '' ? letter : '';
      word ??= '';
    } else if (quote === '' && /\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + letter;
  }
  if (quote !== '') throw usageFailure(`cannot read ${text}: a ${quote} is not closed`);
  return word === undefined ? words : [...words, word];
}
