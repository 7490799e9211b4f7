import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Entry } from '../../../builder/archive/entry.ts';
import { groupFile, passwdFile } from '../../../builder/tree/accounts.ts';
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

test('accounts of all elements, by number, none with a password', () => {
  const elements = [
    { name: 'b', summary: 's', users: [{ name: 'nobody', id: 65_534 }], groups: [{ name: 'disk', id: 6 }] },
    {
      name: 'a',
      summary: 's',
      users: [{ name: 'root', id: 0, home: '/root', shell: '/bin/sh' }],
      groups: [{ name: 'root', id: 0 }],
    },
  ];
  expect(passwdFile(elements)).toBe('root:*:0:0::/root:/bin/sh\nnobody:*:65534:65534::/:/bin/false\n');
  expect(groupFile(elements)).toBe('root:x:0:\ndisk:x:6:\n');
  expect(() => groupFile([...elements, { name: 'c', summary: 's', groups: [{ name: 'disk', id: 7 }] }])).toThrow(
    'disk has number 6 already',
  );
});
