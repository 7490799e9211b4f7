import { expect, test } from 'vitest';

import type { Element } from '../../builder/element/element.ts';
import { withJoinedFiles } from '../../builder/joined.ts';
import { entryBytes } from '../../builder/tree/bytes.ts';
import { fileEntry, mergeParts, type Part } from '../../builder/tree/tree.ts';

const part = (source: string, files: Record<string, string>): Part => ({
  owner: { element: 'e', source, layer: 'userland' },
  entries: Object.entries(files).map(([path, text]) => fileEntry(path, text)),
  overrides: false,
});
const bundle: Element = {
  name: 'bundle',
  summary: 's',
  joined: { 'etc/all.crt': { from: 'usr/share/ca/*.crt', reason: 'r' } },
};

test('a file is made of others in the order of their names, whoever brings them, and they are gone', async () => {
  const parts = [
    part('b', { 'usr/share/ca/b.crt': 'B', 'usr/bin/x': 'x' }),
    part('a', { 'usr/share/ca/a.crt': 'A\n' }),
  ];
  const tree = mergeParts(await withJoinedFiles([bundle], parts), () => false);
  expect([...tree.keys()].toSorted()).toEqual(['etc', 'etc/all.crt', 'usr', 'usr/bin', 'usr/bin/x']);
  const entry = tree.get('etc/all.crt')?.entry;
  expect(entry?.type === 'file' && Buffer.from(await entryBytes(entry)).toString()).toBe('A\nB\n');
  expect(tree.get('etc/all.crt')?.owner).toMatchObject({ element: 'bundle', source: 'joined' });
});

test('a file of nothing is refused', async () => {
  await expect(withJoinedFiles([bundle], [part('a', {})])).rejects.toThrow(
    'bundle makes /etc/all.crt of /usr/share/ca/*.crt, and there is nothing',
  );
});
