import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Entry } from '../../../builder/archive/entry.ts';
import type { Account, Element } from '../../../builder/element/element.ts';
import { groupFile, ownerNumbers, passwdFile, shadowFile } from '../../../builder/tree/accounts.ts';
import { anyMatcher, globMatcher } from '../../../builder/tree/glob.ts';
import { fileEntry, mergeParts, type Part, subtree } from '../../../builder/tree/tree.ts';

const part = (source: string, entries: Entry[], overrides = false): Part => ({
  owner: { element: 'e', source, layer: 'userland' },
  entries,
  overrides,
});
const nothing = () => false;
const folder = (path: string, mode = 0o755): Entry => ({ path, mode, uid: 0, gid: 0, type: 'directory' });
const hardlink = (path: string, target: string): Entry => ({ path, mode: 0, uid: 0, gid: 0, type: 'hardlink', target });

describe('globs', () => {
  test.each([
    ['usr/share/doc/**', ['usr/share/doc', 'usr/share/doc/a/b'], ['usr/share/docs', 'x/usr/share/doc']],
    ['usr/lib/*/lib*.so*', ['usr/lib/x/liba.so.1'], ['usr/lib/x/y/liba.so', 'usr/lib/liba.so']],
    ['usr/{bin,sbin}/{a,b.c}', ['usr/bin/a', 'usr/sbin/b.c'], ['usr/bin/bxc', 'usr/bin/']],
    ['a+b(c)[d]', ['a+b(c)[d]'], ['aab(c)[d]']],
  ])('%s', (glob, matching, others) => {
    expect(matching.filter(globMatcher(glob))).toEqual(matching);
    expect(others.filter(globMatcher(glob))).toEqual([]);
  });

  test('a path without signs matches itself alone', () => {
    const path = fc.stringMatching(/^[a-z0-9._+-]{1,8}(\/[a-z0-9._+-]{1,8}){0,3}$/);
    fc.assert(
      fc.property(path, path, (a, b) => {
        expect(globMatcher(a)(b)).toBe(a === b);
      }),
    );
  });
});

describe('mergeParts', () => {
  test('gives every entry its folders, with the modes that packages gave them, and no empty ones', () => {
    const tree = mergeParts(
      [part('p', [folder('var/secret', 0o700), folder('empty'), fileEntry('var/secret/x', '1')])],
      nothing,
    );
    expect([...tree.keys()].toSorted()).toEqual(['var', 'var/secret', 'var/secret/x']);
    expect(tree.get('var/secret')?.entry.mode).toBe(0o700);
    expect([...mergeParts([part('e', [folder('run')], true)], nothing).keys()]).toEqual(['run']);
  });

  test('refuses two different files in one place, unless an element overrides', () => {
    const one = part('a', [fileEntry('etc/x', '1')]);
    expect(() => mergeParts([one, part('b', [fileEntry('etc/x', '2')])], nothing)).toThrow(
      '/etc/x: a (e) and b (e) bring it',
    );
    expect(mergeParts([one, part('b', [fileEntry('etc/x', '1')])], nothing).get('etc/x')?.owner.source).toBe('a');
    expect(mergeParts([one, part('b', [fileEntry('etc/x', '2')], true)], nothing).get('etc/x')?.owner.source).toBe('b');
    expect(() => mergeParts([one, part('b', [fileEntry('etc/x/y', '')])], nothing)).toThrow('it is no folder');
  });

  test('refuses two elements that override one file in two ways', () => {
    const parts = [part('a', [fileEntry('etc/x', '1')]), part('b', [fileEntry('etc/x', '2')], true)];
    const third = (text: string) => part('c', [fileEntry('etc/x', text)], true);
    expect(() => mergeParts([...parts, third('3')], nothing)).toThrow('/etc/x: b (e) and c (e) bring it');
    expect(mergeParts([...parts, third('2')], nothing).get('etc/x')?.owner.source).toBe('b');
  });

  test('keeps the bytes of a hard link whose file is pruned', () => {
    const entries = [fileEntry('a', 'bytes'), hardlink('b', 'a'), hardlink('c', 'a')];
    const tree = mergeParts([part('p', entries)], anyMatcher(['a']));
    expect(tree.get('b')?.entry).toMatchObject({ type: 'file', size: 5 });
    expect(tree.get('c')?.entry).toMatchObject({ type: 'hardlink', target: 'b' });
  });

  test('a layer comes with the folders above it', () => {
    const tree = mergeParts([part('p', [fileEntry('a/b/c', '1'), fileEntry('d', '2')])], nothing);
    expect(subtree(tree, ({ entry }) => entry.path === 'a/b/c').map((entry) => entry.path)).toEqual([
      'a',
      'a/b',
      'a/b/c',
    ]);
  });
});

describe('accounts of all elements', () => {
  const elements: Element[] = [
    { name: 'b', summary: 's', users: [{ name: 'nobody', id: 65_534 }], groups: [{ name: 'disk', id: 6 }] },
    {
      name: 'a',
      summary: 's',
      users: [{ name: 'root', id: 0, home: '/root', shell: '/bin/sh' }],
      groups: [{ name: 'root', id: 0 }],
    },
  ];
  const withUser = (user: Partial<Account>): Element[] => [
    ...elements,
    { name: 'c', summary: 's', users: [{ name: 'me', id: 1000, ...user }] },
  ];

  test('come by number, and nobody has a password', () => {
    expect(passwdFile(elements)).toBe('root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n');
    expect(shadowFile(elements)).toBe('root:*:::::::\nnobody:*:::::::\n');
    expect(groupFile(elements)).toBe('root:x:0:\ndisk:x:6:\n');
  });

  test('have the hash and the groups that an element gives them', () => {
    const user = withUser({ password: '$6$s$h', groups: ['disk'] });
    expect(shadowFile(user)).toContain('\nme:$6$s$h:::::::\n');
    expect(groupFile(user)).toContain('disk:x:6:me\n');
    expect(ownerNumbers(user)('me')).toEqual({ uid: 1000, gid: 65_534 });
  });

  test.each([
    ['two numbers for one name', withUser({ name: 'root', id: 7 }), 'root has number 0 already'],
    ['a group that there is not', withUser({ groups: ['dsik'] }), 'puts me into the group dsik: there is none'],
    ['a field that is two', withUser({ home: '/:/bin/sh' }), 'a field of me has a colon or a space'],
  ])('%s is refused', (_, wrong, why) => {
    expect(() => [passwdFile(wrong), groupFile(wrong)]).toThrow(why);
  });

  test('a file of somebody that there is not is refused', () => {
    expect(() => ownerNumbers(elements)('me')).toThrow('a file of me: there is no such user');
  });
});
