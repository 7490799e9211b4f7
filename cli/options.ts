import { parseArgs } from 'node:util';

import { Failure } from '../system/failure.ts';

/** One command-line option. The same row parses it, documents it and gives it its type. */
export type Option = {
  type: 'string' | 'boolean' | 'integer';
  help: string;
  short?: string;
  /** What stands for the value in the help: `--out FILE`. */
  placeholder?: string;
  /** May be given several times; its value is a list. */
  multiple?: boolean;
  /** A string option that only takes one of these. */
  choices?: readonly string[];
  /** The numbers that an integer option takes; any from 0 on without it. */
  range?: readonly [least: number, most: number];
};

export type OptionTable = Record<string, Option>;

type Single<O extends Option> = O['type'] extends 'boolean' ? boolean : O['type'] extends 'integer' ? number : string;
/** The values that a table of options gives: absent options are `undefined`, booleans are false, lists are empty. */
export type Values<T extends OptionTable> = {
  [K in keyof T]: T[K]['multiple'] extends true
    ? Single<T[K]>[]
    : T[K]['type'] extends 'boolean'
      ? boolean
      : Single<T[K]> | undefined;
};

/** Exit code for a command line that makes no sense, as in sysexits and every shell tool. */
export const USAGE_EXIT_CODE = 2;

export function usageFailure(message: string, hint?: string): Failure {
  return new Failure('USAGE', message, { exitCode: USAGE_EXIT_CODE, hint });
}

function convert(name: string, option: Option, raw: string): string | number {
  if (option.type === 'integer') {
    const [least, most] = option.range ?? [0, Number.MAX_SAFE_INTEGER];
    const number = /^\d+$/.test(raw) ? Number(raw) : -1;
    if (number >= least && number <= most) return number;
    const which = option.range ? ` from ${least} to ${most}` : '';
    throw usageFailure(`cannot use --${name} ${raw}: a whole number${which} is needed`);
  }
  if (option.choices && !option.choices.includes(raw)) {
    throw usageFailure(`cannot use --${name} ${raw}: it is one of ${option.choices.join(', ')}`);
  }
  return raw;
}

/**
 * Parses a command line by its table.
 * @param argv the words after the command's name
 * @throws Failure with exit code 2 that names the word it cannot use
 */
export function parseOptions<const T extends OptionTable>(
  table: T,
  argv: readonly string[],
): { values: Values<T>; positionals: string[] } {
  const config = Object.fromEntries(
    Object.entries(table).map(([name, o]) => [
      name,
      {
        type: o.type === 'boolean' ? ('boolean' as const) : ('string' as const),
        multiple: o.multiple ?? false,
        ...(o.short && { short: o.short }),
      },
    ]),
  );
  let parsed;
  try {
    parsed = parseArgs({ args: [...argv], options: config, allowPositionals: true, strict: true });
  } catch (error) {
    throw usageFailure(`cannot read the command line: ${(error as Error).message.split('. ')[0]}`, 'see --help');
  }
  const values = Object.fromEntries(
    Object.entries(table).map(([name, option]) => {
      const raw = parsed.values[name];
      if (option.type === 'boolean') return [name, raw === true];
      if (option.multiple)
        return [name, ((raw as string[] | undefined) ?? []).map((value) => convert(name, option, value))];
      return [name, raw === undefined ? undefined : convert(name, option, raw as string)];
    }),
  );
  return { values: values as Values<T>, positionals: parsed.positionals };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/**
 * A size as people write it: `60M` and `60MB` are 60 million bytes, `60MiB` is 60 * 2^20, a bare number is bytes.
 * @param name of the option, for the message
 * @throws Failure with exit code 2
 */
export function sizeBytes(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?)b?$/i.exec(text.trim());
  const unit = UNITS[(match?.[2] ?? '?').toLowerCase()];
  if (match === null || unit === undefined)
    throw usageFailure(`cannot use --${name} ${text}: it is a size such as 60M, 48MiB or 1000000`);
  return Math.round(Number(match[1]) * unit);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Two columns in at most 80 characters. */
export function helpTable(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(30, Math.max(...rows.map(([name]) => name.length)) + 2);
  return rows
    .map(([name, text]) => {
      const [first = '', ...rest] = wrap(text, 80 - 2 - left);
      const head =
        name.length + 2 > left ? `  ${name}\n  ${' '.repeat(left)}${first}` : `  ${name.padEnd(left)}${first}`;
      return [head, ...rest.map((line) => `  ${' '.repeat(left)}${line}`)].join('\n');
    })
    .join('\n');
}

/** The options part of a help page. */
export function optionsHelp(table: OptionTable): string {
  return helpTable(
    Object.entries(table).map(([name, o]) => {
      const value = o.type === 'boolean' ? '' : ` ${o.placeholder ?? (o.type === 'integer' ? 'N' : 'VALUE')}`;
      return [
        `${o.short ? `-${o.short}, ` : ''}--${name}${value}`,
        o.help + (o.choices ? ` (${o.choices.join(', ')})` : ''),
      ] as const;
    }),
  );
}
