import { join } from 'node:path';
import { parse } from 'yaml';

import { dibFailure } from './failures.ts';
import type { DibElement } from './find.ts';
import type { ElementFolders } from './folders.ts';
import type { MergedHooks } from './hooks.ts';
import { parseNames } from './find.ts';

/** A package by the name that its element has for it. */
export type WantedPackage = { name: string; element: string };

/** What is installed and removed in a phase (`install.d`); removed means at the phase's end. */
export type PhasePackages = { install: readonly WantedPackage[]; uninstall: readonly WantedPackage[] };

/** What decides whether an entry of a package-installs file counts. */
export type PackageFacts = {
  /** Every name that the architecture of the build has. */
  architectureNames: readonly string[];
  /** Variables after all of environment.d. */
  env: Readonly<Record<string, string>>;
  installType: (element: string) => string;
};

const PHASE_FOLDERS = ['pre-install.d', 'install.d', 'post-install.d'] as const;
type Entry = { phase: string; uninstall: boolean; buildOnly: boolean };
type Row = Entry & WantedPackage;

const KEYS = [
  'phase',
  'uninstall',
  'build-only',
  'installtype',
  'arch',
  'not-arch',
  'dib_python_version',
  'when',
] as const;
type Fields = Partial<Record<(typeof KEYS)[number], unknown>>;

class EntryError extends Error {}

/** Strict: `uninstall: false` means no, which DIB takes for yes because the key is there. */
function flag(fields: Fields, key: 'uninstall' | 'build-only'): boolean {
  const value = fields[key] ?? key in fields;
  const word = typeof value === 'string' ? value.toLowerCase() : value;
  if (word === true || word === 'true' || word === 'yes' || word === 1) return true;
  if (word === false || word === 'false' || word === 'no' || word === 0) return false;
  throw new EntryError(`${key} must be true or false, not ${JSON.stringify(value)}`);
}

function word(fields: Fields, key: keyof Fields): string | undefined {
  const value = fields[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' || typeof value === 'number') return String(value).trim();
  throw new EntryError(`${key} must be a word, not ${JSON.stringify(value)}`);
}

function isForArchitecture(fields: Fields, facts: PackageFacts): boolean {
  const list = (key: 'arch' | 'not-arch') =>
    word(fields, key)
      ?.split(',')
      .map((one) => one.trim().toLowerCase())
      .filter(Boolean);
  const [wanted, unwanted] = [list('arch'), list('not-arch')];
  if (wanted !== undefined && unwanted !== undefined) throw new EntryError('arch and not-arch exclude each other');
  const isNamed = (names: readonly string[]) => names.some((one) => facts.architectureNames.includes(one));
  return (wanted === undefined || isNamed(wanted)) && (unwanted === undefined || !isNamed(unwanted));
}

/** `VAR = value`, `VAR != value`, or several, all of which must hold. */
function holds(statements: unknown, env: PackageFacts['env']): boolean {
  if (statements === undefined || statements === null) return true;
  return (Array.isArray(statements) ? statements : [statements]).every((statement) => {
    const match = /^\s*(\w+)\s*(!?=)\s*(.*?)\s*$/.exec(String(statement));
    if (match === null) throw new EntryError(`when must be VAR = value or VAR != value, not ${String(statement)}`);
    const [, name = '', operator, wanted] = match;
    const value = env[name];
    if (value === undefined) throw new EntryError(`when asks for ${name}, which is not set`);
    return (value === wanted) === (operator === '=');
  });
}

/** @returns undefined for an entry that does not count in this build */
function readFields(fields: Fields, element: string, facts: PackageFacts): Entry | undefined {
  const unknown = Object.keys(fields).find((key) => !(KEYS as readonly string[]).includes(key));
  if (unknown !== undefined) throw new EntryError(`${unknown} is none of ${KEYS.join(', ')}`);
  const phase = word(fields, 'phase') ?? 'install.d';
  if (!(PHASE_FOLDERS as readonly string[]).includes(phase))
    throw new EntryError(`phase must be one of ${PHASE_FOLDERS.join(', ')}, not ${phase}`);
  const type = word(fields, 'installtype');
  const python = word(fields, 'dib_python_version');
  const entry = { phase, uninstall: flag(fields, 'uninstall'), buildOnly: flag(fields, 'build-only') };
  const counts =
    (type === undefined || type === facts.installType(element)) &&
    (python === undefined || python === (facts.env['DIB_PYTHON_VERSION'] ?? '')) &&
    isForArchitecture(fields, facts) &&
    holds(fields['when'], facts.env);
  return counts ? entry : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads one package-installs file: name to nothing, to fields, or to a list of fields.
 * @throws Failure `DIB_BAD_FILE` that names the file, the package and what is wrong
 */
export function parsePackageInstalls(text: string, file: string, element: string, facts: PackageFacts): Row[] {
  const bad = (why: string, cause?: unknown) => dibFailure('DIB_BAD_FILE', `${file}: ${why}`, { cause });
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    throw bad((error as Error).message.split('\n')[0] ?? '', error);
  }
  if (data === null) return [];
  if (!isFields(data)) throw bad('it must map names of packages to their fields');
  return Object.entries(data as Record<string, unknown>).flatMap(([name, value]) =>
    (Array.isArray(value) && value.length > 0 ? value : [value]).flatMap((one: unknown): Row[] => {
      const fields = one ?? {};
      if (!isFields(fields)) throw bad(`${name}: expected fields such as phase: install.d`);
      try {
        const entry = readFields(fields, element, facts);
        return entry === undefined ? [] : [{ ...entry, name, element }];
      } catch (error) {
        if (error instanceof EntryError) throw bad(`${name}: ${error.message}`, error);
        throw error;
      }
    }),
  );
}

/** The older form, `package-installs-<element>` in a phase's folder: a name a line, with `-` in front of what is removed. */
async function legacyRows(hooks: MergedHooks, folders: ElementFolders): Promise<Row[]> {
  const files = hooks.files.flatMap((file) => {
    const match = /^([a-z-]+\.d)\/package-installs-([^/]+)$/.exec(file.path);
    return match ? [{ file, phase: match[1] ?? '', element: match[2] ?? '' }] : [];
  });
  const rows = await Promise.all(
    files.map(async ({ file, phase, element }) =>
      parseNames(await folders.read(file.source)).map((line) => ({
        phase,
        element,
        name: line.replace(/^-/, ''),
        uninstall: line.startsWith('-'),
        buildOnly: false,
      })),
    ),
  );
  return rows.flat();
}

/**
 * Packages that elements ask for, by phase. One that any element wants to stay is not removed at the end of the phase.
 * @throws Failure `DIB_BAD_FILE`
 */
export async function packageInstalls(
  elements: readonly DibElement[],
  hooks: MergedHooks,
  folders: ElementFolders,
  facts: PackageFacts,
): Promise<ReadonlyMap<string, PhasePackages>> {
  const rows: Row[] = [];
  for (const { name, folder } of elements) {
    for (const file of ['package-installs.json', 'package-installs.yaml']) {
      const path = join(folder, file);
      const text = await folders.read(path);
      if (text !== undefined) rows.push(...parsePackageInstalls(text, path, name, facts));
    }
  }
  rows.push(...(await legacyRows(hooks, folders)));
  const plain = ({ name, element }: Row) => ({ name, element });
  return new Map(
    PHASE_FOLDERS.map((phase) => {
      const here = rows.filter((row) => row.phase === phase);
      const stays = new Set(here.filter((row) => !row.uninstall && !row.buildOnly).map((row) => row.name));
      const install = here.filter((row) => !row.uninstall).map(plain);
      const uninstall = here.filter((row) => (row.uninstall || row.buildOnly) && !stays.has(row.name)).map(plain);
      return [phase, { install, uninstall }];
    }),
  );
}
