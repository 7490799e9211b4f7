import { expect, test } from 'vitest';

import { leaveOutUnneeded } from '../../builder/needed.ts';
import { fileEntry, type Tree } from '../../builder/tree/tree.ts';
import { elfFile } from '../fakes/elf.ts';

const owner = { element: 'base', source: 'x', layer: 'userland' as const };

/** An ELF file that asks for these libraries. */
function program(...libraries: string[]): Buffer {
  const strings = `\0${libraries.map((name) => `${name}\0`).join('')}`;
  const dynamic = Buffer.alloc(16 * libraries.length);
  let at = 1;
  for (const [index, name] of libraries.entries()) {
    dynamic.writeBigUInt64LE(1n, 16 * index);
    dynamic.writeBigUInt64LE(BigInt(at), 16 * index + 8);
    at += name.length + 1;
  }
  return elfFile({ '.dynamic': dynamic, '.dynstr': strings });
}

function treeOf(files: Record<string, Buffer | string>): Tree {
  return new Map(
    Object.entries(files).map(([path, content]) => [
      path,
      typeof content === 'string'
        ? { owner, entry: { path, mode: 0o777, uid: 0, gid: 0, type: 'symlink' as const, target: content } }
        : { owner, entry: fileEntry(path, content) },
    ]),
  );
}

test('a library stays where a program, or a library that stays, needs it; with the file that its name leads to', async () => {
  const tree = treeOf({
    'usr/bin/tool': program('liba.so.1'),
    'usr/lib/x/liba.so.1': 'liba.so.1.2',
    'usr/lib/x/liba.so.1.2': program('libb.so.1'),
    'usr/lib/x/libb.so.1': program(),
    'usr/lib/x/libc.so.1': 'libc.so.1.0',
    'usr/lib/x/libc.so.1.0': program('libd.so.1'),
    'usr/lib/x/libd.so.1': program('libc.so.1'),
    'usr/lib/x/libe.so.1': program(),
    'usr/share/text': Buffer.from('libd.so.1'),
  });
  expect(await leaveOutUnneeded(tree, ['usr/lib/*/lib{a,b,c,d}.so*'])).toEqual([
    'usr/lib/x/libc.so.1',
    'usr/lib/x/libc.so.1.0',
    'usr/lib/x/libd.so.1',
  ]);
  expect([...tree.keys()]).toEqual([
    'usr/bin/tool',
    'usr/lib/x/liba.so.1',
    'usr/lib/x/liba.so.1.2',
    'usr/lib/x/libb.so.1',
    'usr/lib/x/libe.so.1',
    'usr/share/text',
  ]);
});

test('without globs, nothing goes', async () => {
  const tree = treeOf({ 'usr/lib/x/libe.so.1': program() });
  expect(await leaveOutUnneeded(tree, [])).toEqual([]);
  expect(tree.size).toBe(1);
});
