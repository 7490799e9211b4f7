import type { Account, Element } from '../element/element.ts';
import { builderFailure } from '../failures.ts';

/** Accounts of all elements by name; two elements may declare the same one, but not differently. */
function collect(elements: readonly Element[], kind: 'users' | 'groups'): Account[] {
  const byName = new Map<string, Account>();
  for (const element of elements) {
    for (const account of element[kind] ?? []) {
      if (/[:\s]/.test(Object.values(account).flat().join('')))
        throw builderFailure('ELEMENT_INVALID', `${element.name}: a field of ${account.name} has a colon or a space`);
      const before = byName.get(account.name);
      if (before !== undefined && before.id !== account.id)
        throw builderFailure('ELEMENT_INVALID', `${element.name}: ${account.name} has number ${before.id} already`);
      byName.set(account.name, { ...before, ...account });
    }
  }
  return [...byName.values()].toSorted((a, b) => a.id - b.id || (a.name < b.name ? -1 : 1));
}

/** Numbers of the user that owns a file, by name. */
export function ownerNumbers(elements: readonly Element[]): (name: string | undefined) => { uid: number; gid: number } {
  const users = collect(elements, 'users');
  const groups = new Set(collect(elements, 'groups').map((one) => one.id));
  return (name) => {
    if (name === undefined) return { uid: 0, gid: 0 };
    const user = users.find((one) => one.name === name);
    if (user === undefined)
      throw builderFailure('ELEMENT_INVALID', `that has a file of ${name}: there is no such user`);
    return { uid: user.id, gid: groups.has(user.id) ? user.id : 65_534 };
  };
}

/** /etc/passwd; passwords are in /etc/shadow. */
export function passwdFile(elements: readonly Element[]): string {
  const numbers = ownerNumbers(elements);
  return collect(elements, 'users')
    .map(
      ({ name, id, home, shell }) => `${name}:x:${id}:${numbers(name).gid}::${home ?? '/'}:${shell ?? '/bin/false'}\n`,
    )
    .join('');
}

/** /etc/shadow: who has no hash there cannot log in with a password. Passwords do not age. */
export function shadowFile(elements: readonly Element[]): string {
  return collect(elements, 'users')
    .map(({ name, password }) => `${name}:${password || '*'}:::::::\n`)
    .join('');
}

/** /etc/group, with the groups that udev's rules name, and who is in them besides those whose own group it is. */
export function groupFile(elements: readonly Element[]): string {
  const groups = collect(elements, 'groups');
  const members = new Map<string, string[]>(groups.map((group) => [group.name, []]));
  for (const user of collect(elements, 'users'))
    for (const name of user.groups ?? []) {
      const list = members.get(name);
      if (list === undefined)
        throw builderFailure('ELEMENT_INVALID', `that puts ${user.name} into the group ${name}: there is none`, {
          hint: `use some of ${groups.map((one) => one.name).join(', ')}`,
        });
      list.push(user.name);
    }
  return groups.map((group) => `${group.name}:x:${group.id}:${members.get(group.name)?.join(',') ?? ''}\n`).join('');
}

/**
 * Puts the accounts of a whole system and those of elements together: who is in the system stays as there, but for a password that an
 * element sets.
 * @param path of the file: etc/passwd, etc/group or etc/shadow
 * @throws Failure `CONFLICTING_FILES` when two accounts would have one number
 */
export function mergeAccounts(path: string, system: string, own: string): string {
  const lines = system.split('\n').filter(Boolean);
  const nameOf = (line: string) => line.split(':')[0] ?? '';
  const byName = new Map(lines.map((line) => [nameOf(line), line]));
  const numbers = new Map(lines.map((line) => [line.split(':')[2], nameOf(line)]));
  for (const line of own.split('\n').filter(Boolean)) {
    const name = nameOf(line);
    const fields = line.split(':');
    const before = byName.get(name);
    if (path === 'etc/shadow') {
      if (before === undefined || !/^[*!]*$/.test(fields[1] ?? '')) byName.set(name, line);
      continue;
    }
    if (before !== undefined) continue;
    const other = numbers.get(fields[2]);
    if (other !== undefined)
      throw builderFailure('CONFLICTING_FILES', `/${path}: number ${fields[2]} is that of ${other} and of ${name}`);
    byName.set(name, line);
  }
  return [...byName.values()].map((line) => `${line}\n`).join('');
}
