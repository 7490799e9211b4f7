import type { Entry } from '../archive/entry.ts';
import type { Element } from '../element/element.ts';
import { builderFailure } from '../failures.ts';
import { entryBytes } from '../tree/bytes.ts';
import { globMatcher } from '../tree/glob.ts';
import { commandsThatMatter } from './harmless.ts';
import type { PackageScript } from './shell.ts';

/** What is looked at of a package. */
export type ScriptedPackage = { name: string; entries: readonly Entry[]; scripts: readonly PackageScript[] };

/** How many lines of a script an error shows. */
const SHOWN = 6;

/** Users and groups of a file in sysusers.d (man sysusers.d): `u name …`, `u! name …`, `g name …`, and groups of `m user group`. */
export function sysusersNames(text: string): { users: string[]; groups: string[] } {
  const rows = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([kind = '']) => /^[ugm]!?$/.test(kind));
  const names = (kind: string, column = 1) =>
    rows.filter(([first]) => first?.startsWith(kind)).flatMap((row) => row[column] ?? []);
  // A user's group has its name, unless another one is told with its number.
  const own = rows
    .filter(([kind, , id = '']) => kind?.startsWith('u') && !id.includes(':'))
    .map(([, name = '']) => name);
  return { users: names('u'), groups: [...new Set([...names('g'), ...names('m', 2), ...own])] };
}

/** Users and groups that systemd-sysusers would make for a package, and that no element declares. */
async function missingAccounts(one: ScriptedPackage, elements: readonly Element[]): Promise<string[]> {
  const declared = (kind: 'users' | 'groups') =>
    new Set(elements.flatMap((e) => e[kind] ?? []).map(({ name }) => name));
  const [users, groups] = [declared('users'), declared('groups')];
  const files = one.entries.filter(
    (entry) => entry.type === 'file' && /^usr\/lib\/sysusers\.d\/.+\.conf$/.test(entry.path),
  );
  const missing = await Promise.all(
    files.map(async (file) => {
      if (file.type !== 'file') return [];
      const wanted = sysusersNames(Buffer.from(await entryBytes(file)).toString());
      return [
        ...wanted.users.filter((name) => !users.has(name)).map((name) => `the user ${name} of /${file.path}`),
        ...wanted.groups
          .filter((name) => !groups.has(name) && !users.has(name))
          .map((name) => `the group ${name} of /${file.path}`),
      ];
    }),
  );
  return missing.flat();
}

/**
 * Checks that nothing is lost because packages' scripts are not run: each command of a script is either one that means nothing in a
 * ramdisk (`harmless.ts`), or an element says in `scripts` why its package's scripts need not run.
 * @param packages those of which something goes in
 * @throws Failure `SCRIPT_NOT_COVERED` that names packages, scripts and the commands that matter
 */
export async function checkScripts(elements: readonly Element[], packages: readonly ScriptedPackage[]): Promise<void> {
  const covered = elements.flatMap((one) => Object.keys(one.scripts ?? {})).map(globMatcher);
  const open = packages.filter((one) => !covered.some((matches) => matches(one.name)));
  const problems = await Promise.all(
    open.map(async (one) => {
      const scripts = one.scripts.flatMap((script) => {
        const lines = commandsThatMatter(script);
        const rest = lines.length > SHOWN ? [`… and ${lines.length - SHOWN} more`] : [];
        return lines.length === 0 ? [] : [`${script.kind}: ${[...lines.slice(0, SHOWN), ...rest].join('\n    ')}`];
      });
      const accounts = await missingAccounts(one, elements);
      const all = [...scripts, ...(accounts.length === 0 ? [] : [`sysusers: ${accounts.join(', ')}`])];
      return all.length === 0 ? [] : [`${one.name}\n  ${all.join('\n  ')}`];
    }),
  );
  if (problems.flat().length > 0) throw builderFailure('SCRIPT_NOT_COVERED', problems.flat().join('\n'));
}
