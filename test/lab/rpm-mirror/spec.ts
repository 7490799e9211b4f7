import type { Entry } from '../../../builder/archive/entry.ts';
import type { Recipe } from './recipe.ts';

/** One RPM that is to be built. */
export type SpecPackage = {
  recipe: Recipe;
  /** Debian's version, which becomes version and release. */
  version: string;
  entries: readonly Entry[];
  requires: readonly string[];
  provides: readonly string[];
};

/** Groups that Debian's packages have files of, by number (base-passwd). */
const GROUPS = new Map([
  [0, 'root'],
  [5, 'tty'],
  [6, 'disk'],
  [42, 'shadow'],
]);

function versionLines(version: string): string[] {
  const [, epoch, upstream = '', revision = '1'] = /^(?:(\d+):)?(.+?)(?:-([^-]+))?$/.exec(version) ?? [];
  return [
    ...(epoch === undefined ? [] : [`Epoch: ${epoch}`]),
    `Version: ${upstream.replaceAll('-', '_')}`,
    `Release: ${revision}.oe2203`,
  ];
}

function fileLine(entry: Entry): string {
  const mode = (entry.mode & 0o7777).toString(8).padStart(4, '0');
  const group = GROUPS.get(entry.gid) ?? 'root';
  return `%attr(${entry.type === 'symlink' ? '-' : mode}, root, ${group}) "/${entry.path}"`;
}

function packageLines({ recipe, version, entries, requires, provides }: SpecPackage): string[] {
  const { name } = recipe;
  const relation = (kind: string, names: readonly string[] = []) => names.map((one) => `${kind}: ${one}`);
  const scripts = Object.entries(recipe.scripts ?? {}).map(([kind, text]) =>
    text.startsWith('-p') ? `%${kind} -n ${name} ${text}` : `%${kind} -n ${name}\n${text}`,
  );
  return [
    `%package -n ${name}`,
    `Summary: ${recipe.summary}`,
    ...versionLines(version),
    'AutoReqProv: no',
    ...relation('Requires', [...(recipe.requires ?? []), ...requires]),
    ...relation('Provides', [...(recipe.provides ?? []), ...provides]),
    ...relation('Recommends', recipe.recommends),
    `%description -n ${name}`,
    `${recipe.summary} (test content)`,
    ...scripts,
    `%files -n ${name}`,
    ...entries.map(fileLine),
  ];
}

/** A spec file that packs a finished tree into several RPMs. No script of it looks at what is packed. */
export function specText(packages: readonly SpecPackage[], tree: string): string {
  return [
    '%global debug_package %{nil}',
    '%global __os_install_post %{nil}',
    '%global __spec_install_post %{nil}',
    '%global __check_files %{nil}',
    '%global _build_id_links none',
    'Name: test-mirror',
    'Version: 1',
    'Release: 1',
    'Summary: test content',
    'License: various',
    '%description',
    'Debian packages under the names of openEuler.',
    '%install',
    'rm -rf %{buildroot}',
    `cp -al ${tree} %{buildroot}`,
    ...packages.flatMap(packageLines),
    '',
  ].join('\n');
}
