import { join } from 'node:path';

import { dibFailure } from './failures.ts';
import type { DibElement } from './find.ts';
import type { ElementFolders } from './folders.ts';

/** One line of a `source-repository-*` file, with everything that variables change in it. */
export type SourceRepository = {
  name: string;
  element: string;
  type: 'git' | 'tar' | 'file';
  /** Where it goes in the tree, absolute. */
  destination: string;
  location: string;
  /** Branch, tag or commit of a git repository (`*`: all of it); folder in an archive. */
  ref: string;
};

type Env = Readonly<Record<string, string>>;

/** `$NAME`, `${NAME}`, `${NAME:-other}`, as the shell that DIB gives the line to would expand them. */
function expand(text: string, env: Env): string {
  return text.replaceAll(/\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})/g, (_, plain: string, braced: string, other: string) => {
    const value = env[plain ?? braced];
    return value === undefined || value === '' ? (other ?? '') : value;
  });
}

const variable = (name: string) => name.replaceAll(/[^A-Za-z0-9]/g, '_');

/** @returns undefined for an empty line or a comment */
function parseLine(line: string, file: string, element: string, env: Env): SourceRepository | undefined {
  if (line.trim() === '' || line.trim().startsWith('#')) return undefined;
  const [name = '', type = '', destination = '', location = '', ref] = expand(line.trim(), env)
    .split(/\s+/)
    .map((word) => word.replaceAll(/^["']|["']$/g, ''));
  const over = (kind: string) => env[`DIB_REPO${kind}_${variable(name)}`];
  const chosen = over('TYPE') || type;
  if (location === '' || !destination.startsWith('/'))
    throw dibFailure('DIB_BAD_FILE', `${file}: expected "name type /destination location [ref]", not "${line.trim()}"`);
  if (chosen !== 'git' && chosen !== 'tar' && chosen !== 'file')
    throw dibFailure('DIB_BAD_FILE', `${file}: ${name} has type ${chosen}, which is none of git, tar, file`);
  const moved = over('LOCATION');
  const base = env['DIB_GITREPOBASE'];
  const based = chosen === 'git' && base ? location.replace(/^[^:]+:\/\/[^/]+\/(~[^/]+\/)?/, base) : location;
  return {
    name,
    element,
    type: chosen,
    destination,
    location: moved || based,
    ref: over('REF') || ref || (chosen === 'git' ? 'master' : '*'),
  };
}

/**
 * Sources that elements ask for: those of things that are installed from source.
 * @throws Failure `DIB_BAD_FILE`
 */
export async function sourceRepositories(
  elements: readonly DibElement[],
  folders: ElementFolders,
  env: Env,
  installType: (name: string) => string,
): Promise<SourceRepository[]> {
  const found: SourceRepository[] = [];
  if (env['NO_SOURCE_REPOSITORIES'] !== undefined && env['NO_SOURCE_REPOSITORIES'] !== '') return found;
  for (const { name: element, folder } of elements) {
    const items = (await folders.list(folder)) ?? [];
    for (const { name } of items.filter((one) => /^source-repository-.*[^~]$/.test(one.name))) {
      const file = join(folder, name);
      const lines = ((await folders.read(file)) ?? '').split('\n');
      const sources = lines.flatMap((line) => parseLine(line, file, element, env) ?? []);
      found.push(...sources.filter((one) => installType(one.name) === 'source'));
    }
  }
  return found;
}
