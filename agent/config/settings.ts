import { nearest } from '../../cli/nearest.ts';
import { parseIni } from './ini.ts';
import type { ParameterSpec } from './values.ts';
import { WITHOUT_MEANING, type WithoutMeaning } from './without-meaning.ts';

/** Where values come from, the weaker before the stronger. */
export type ConfigSource =
  | { kind: 'parameters'; name: string; values: ReadonlyMap<string, string> }
  | { kind: 'file'; path: string; text: string };

/** One value of one source. */
export type Setting = {
  key: string;
  text: string;
  /** As it is written there: `ipa-debug`, `[container] runner`. */
  name: string;
  /** `kernel command line`, `/etc/…/x.conf line 3`. */
  place: string;
  isParameter: boolean;
};

export type Settings = {
  /** In the order of the sources: the last of a key is the one that counts. */
  settings: Setting[];
  /** What has no effect, and why. */
  notices: string[];
  /** Lines of files that make no sense. */
  problems: string[];
};

type Table = Readonly<Record<string, ParameterSpec>>;

/** Options are written with underscores; ironic-python-agent's first names had dashes. */
const plain = (name: string): string => name.replaceAll('-', '_').toLowerCase();

function byOption(table: Table): Map<string, string> {
  return new Map(
    Object.entries(table).flatMap(([key, { group = 'DEFAULT', option, oldNames = [] }]) =>
      option === undefined ? [] : [`${group}/${option}`, ...oldNames].map((name) => [name, key] as const),
    ),
  );
}

/** Longer names are no slips of a finger, and comparing them takes time. */
const LONGEST_SLIP = 80;

function suggestion(name: string, names: readonly string[]): string | undefined {
  return name.length > LONGEST_SLIP ? undefined : nearest(name, names);
}

function fits({ group: own = 'DEFAULT', options = [] }: WithoutMeaning, group: string, option: string): boolean {
  const matches = (name: string): boolean =>
    name.endsWith('*') ? option.startsWith(name.slice(0, -1)) : option === name;
  return own === group && options.some(matches);
}

function readParameters(table: Table, source: ConfigSource & { kind: 'parameters' }, found: Settings): void {
  const keys = new Map(Object.entries(table).map(([key, { parameter }]) => [parameter, key]));
  for (const [name, text] of source.values) {
    const key = keys.get(name);
    if (key !== undefined) {
      found.settings.push({ key, text, name, place: source.name, isParameter: true });
      continue;
    }
    if (!name.startsWith('ipa-')) continue; // somebody else's
    const known = WITHOUT_MEANING.find(({ parameter }) => parameter === name);
    const near = suggestion(
      name,
      [...keys.keys()].flatMap((other) => other ?? []),
    );
    const why = known?.reason ?? `this agent does not know it${near === undefined ? '' : `; did you mean ${near}?`}`;
    found.notices.push(`${name} (${source.name}) has no effect: ${why}`);
  }
}

function readFile(table: Table, { path, text }: ConfigSource & { kind: 'file' }, found: Settings): void {
  const keys = byOption(table);
  const { entries, problems } = parseIni(text);
  for (const { line, reason } of problems) found.problems.push(`line ${line} of ${path}: ${reason}`);
  for (const { group, option, value, line } of entries) {
    const place = `${path} line ${line}`;
    const name = group === 'DEFAULT' ? option : `[${group}] ${option}`;
    const key = keys.get(`${group}/${plain(option)}`);
    if (key !== undefined) {
      found.settings.push({ key, text: value, name, place, isParameter: false });
      continue;
    }
    const known = WITHOUT_MEANING.find((row) => fits(row, group, plain(option)));
    const near = suggestion(`${group}/${plain(option)}`, [...keys.keys()])?.replace(/^(?:DEFAULT\/|(.*)\/)/, (_, its) =>
      its === undefined ? '' : `[${String(its)}] `,
    );
    const why = known?.reason ?? `this agent does not know it${near === undefined ? '' : `; did you mean ${near}?`}`;
    found.notices.push(`${name} (${place}) has no effect: ${why}`);
  }
}

/** Everything that the sources say, by the names of the table. */
export function collectSettings(table: Table, sources: readonly ConfigSource[]): Settings {
  const found: Settings = { settings: [], notices: [], problems: [] };
  for (const source of sources) {
    if (source.kind === 'file') readFile(table, source, found);
    else readParameters(table, source, found);
  }
  return found;
}
