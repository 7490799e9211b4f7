import type { Element } from '../element/element.ts';
import { builderFailure } from '../failures.ts';

type Account = NonNullable<Element['users']>[number];

/** Accounts of all elements by name; two elements may declare the same one, but not differently. */
function collect(elements: readonly Element[], kind: 'users' | 'groups'): Account[] {
  const byName = new Map<string, Account>();
  for (const element of elements) {
    for (const account of element[kind] ?? []) {
      const before = byName.get(account.name);
      if (before !== undefined && before.id !== account.id)
        throw builderFailure('ELEMENT_INVALID', `${element.name}: ${account.name} has number ${before.id} already`);
      byName.set(account.name, account);
    }
  }
  return [...byName.values()].toSorted((a, b) => a.id - b.id || (a.name < b.name ? -1 : 1));
}

/** /etc/passwd: nobody has a password, so nobody can log in with one. */
export function passwdFile(elements: readonly Element[]): string {
  const groups = collect(elements, 'groups');
  return collect(elements, 'users')
    .map((user) => {
      const group = groups.find((one) => one.id === user.id)?.id ?? 65_534;
      return `${user.name}:*:${user.id}:${group}::${user.home ?? '/'}:${user.shell ?? '/bin/false'}\n`;
    })
    .join('');
}

/** /etc/group, with the groups that udev's rules name. */
export function groupFile(elements: readonly Element[]): string {
  return collect(elements, 'groups')
    .map((group) => `${group.name}:x:${group.id}:\n`)
    .join('');
}
