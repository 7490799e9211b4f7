/** One `name = value` of a configuration file. */
export type IniEntry = { group: string; option: string; value: string; line: number };
/** A line that is none of section, comment, assignment or the continuation of one. */
export type IniProblem = { line: number; reason: string };

const QUOTED = /^(["'])(.*)\1$/s;

/**
 * Text in the form of oslo.config: `[section]`, comments with # or ;, `name = value` or `name: value`, and lines that begin
 * with a blank and go on with the value before them. Quotes around a whole value are taken off.
 * @returns every assignment in order (the last of several counts), and every line that makes no sense
 */
export function parseIni(text: string): { entries: IniEntry[]; problems: IniProblem[] } {
  const entries: IniEntry[] = [];
  const problems: IniProblem[] = [];
  let group: string | undefined;
  let open: IniEntry | undefined;
  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const line = index + 1;
    const content = raw.trimEnd();
    const problem = (reason: string): void => void problems.push({ line, reason });
    if (content === '') open = undefined;
    else if (/^[ \t]/.test(content)) {
      if (open) open.value += `\n${content.trimStart()}`;
      else problem('it begins with a blank, but there is no value before it to go on with');
    } else if (content.startsWith('[')) {
      open = undefined;
      group = /^\[(.+)\]$/.exec(content)?.[1];
      if (group === undefined) problem('a section is [name]');
      else if (group !== 'DEFAULT') group = group.toLowerCase();
    } else if (!/^[#;]/.test(content)) {
      const at = content.search(/[=:]/);
      const option = content.slice(0, Math.max(0, at)).trim();
      open = undefined;
      if (option === '') problem('neither name = value nor [section] nor # comment');
      else if (group === undefined) problem('a section such as [DEFAULT] has to come before it');
      else {
        const value = content.slice(at + 1).trim();
        open = { group, option, value: QUOTED.exec(value)?.[2] ?? value, line };
        entries.push(open);
      }
    }
  }
  return { entries, problems };
}
