/** Control characters, what changes the direction of text or joins and hides it, and ends of lines (Unicode categories Cc, Cf, Zl, Zp). */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A text from outside as one line that shows all that it is. A disk may call itself anything: with an end of a line in its serial
 * number it could write lines of its own between ours, and with a terminal's words take ours away.
 */
export function printable(text: string): string {
  return text.replace(HIDDEN, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}
