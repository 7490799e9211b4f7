/**
 * One script that a package runs when it is installed for the first time.
 *
 * Debian: `preinst`, `postinst` and the file `triggers`. RPM: `%pretrans`, `%pre`, `%post`, `%posttrans`. What runs at an upgrade or
 * a removal is not among them.
 */
export type PackageScript = {
  kind: string;
  /** As after `#!`: `/bin/sh`; with RPM also `<lua>`, or a program that is all of the script (`/sbin/ldconfig`). */
  interpreter: string;
  text: string;
};

/** One command of a script: its words as they stand there, without what only steers (`if`, `then`, `||`). */
export type Command = { words: readonly string[]; text: string };

const CASE = /^case\s.*?\sin(?:\s+|$)/;
/** A pattern of `case`: up to its bracket, when none was opened before. */
const PATTERN = /^\(?(?:"[^"]*"|[^\s()"'`;&|])+(?:\s*\|\s*(?:"[^"]*"|[^\s()"'`;&|])+)*\)\s*/;

/** Takes what stands between here-document marks out, and joins lines that end with a backslash. */
function logicalLines(text: string): string[] {
  const lines: string[] = [];
  let end: string | undefined;
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    if (end !== undefined) {
      if (line.trim() === end) end = undefined;
      continue;
    }
    const mark = /<<-?\s*(["']?)([A-Za-z_]\w*)\1/.exec(line);
    if (mark !== null) end = mark[2];
    if (!/^\s*(#|$)/.test(line)) lines.push(line.trim().replace(CASE, '').replace(PATTERN, ''));
  }
  return lines;
}

/** Where the text in brackets or quotes that begins at `from` ends: behind its last letter. */
function skipNested(text: string, from: number): number {
  const open = text[from];
  if (open === '\\') return from + 2;
  if (open === "'" || open === '`') {
    const end = text.indexOf(open, from + 1);
    return end < 0 ? text.length : end + 1;
  }
  const close = open === '"' ? '"' : open === '(' ? ')' : '}';
  let at = from + 1;
  while (at < text.length && text[at] !== close) {
    const letter = text[at] ?? '';
    if (/["'`\\]/.test(letter) && !(open === '"' && letter === "'")) at = skipNested(text, at);
    else if (letter === '$' && /[({]/.test(text[at + 1] ?? '')) at = skipNested(text, at + 1);
    else if (letter === '(' && open === '(') at = skipNested(text, at);
    else at += 1;
  }
  return at + 1;
}

/** Cuts a text at the separators that are in no quotes and no brackets. */
function cut(text: string, separator: RegExp): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < text.length;) {
    const letter = text[at] ?? '';
    separator.lastIndex = at;
    const found = separator.exec(text);
    if (found !== null) {
      parts.push(text.slice(start, at));
      at = start = at + found[0].length;
    } else if (/["'`\\]/.test(letter)) at = skipNested(text, at);
    else if (letter === '$' && /[({]/.test(text[at + 1] ?? '')) at = skipNested(text, at + 1);
    else at += 1;
  }
  return [...parts, text.slice(start)];
}

/** Between commands; `&` of a redirection (`>&2`, `&>file`) is no end. */
const SEPARATOR = /;;|;|&&|\|\||\||(?<![<>&])&(?![>&])|\n/y;
const STEERING = /^(?:if|elif|then|else|fi|do|done|while|until|esac|time|[!{}()])(?=[\s;]|$)\s*/;
const FUNCTION = /^(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\)\s*/;
const ASSIGNMENT = /^[A-Za-z_]\w*=/;

/** The text without the words in front of it that only steer. */
function unwrapped(text: string): string {
  let rest = text.trim();
  for (;;) {
    const before = rest;
    rest = rest.replace(STEERING, '').replace(FUNCTION, '').replace(PATTERN, '');
    if (rest === before)
      return rest.replace(/[\s)}]+$/, (end) => (/^\s*$/.test(end) || /[$(]/.test(rest) ? end : '')).trim();
  }
}

/**
 * All commands of a shell script, those of its functions and of every branch included, in their order.
 *
 * This is no shell: it neither follows branches nor knows what is in a variable. It splits what is written into commands, so that
 * each can be looked at; where it understands a line wrongly, the line stays, and somebody has to look at it.
 */
export function shellCommands(text: string): Command[] {
  return cut(logicalLines(text).join('\n'), SEPARATOR)
    .map(unwrapped)
    .filter((part) => part !== '' && !/^(?:(?:case|for)\s|[#<])/.test(part))
    .map((part) => ({ text: part.replaceAll(/\s+/g, ' '), words: cut(part, /\s+/y).filter(Boolean) }))
    .map(({ text: whole, words }) => {
      const first = words.findIndex((word) => !ASSIGNMENT.test(word));
      return { text: whole, words: first < 0 ? [] : words.slice(first) };
    })
    .filter(({ words }) => words.length > 0);
}

/** Names of the functions that a script defines. */
export function shellFunctions(text: string): Set<string> {
  const names = logicalLines(text).flatMap((line) => FUNCTION.exec(line.trim())?.[1] ?? []);
  return new Set(names);
}
