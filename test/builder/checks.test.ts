import { describe, expect, test } from 'vitest';

import { checkElements } from '../../builder/checks.ts';
import type { Element } from '../../builder/element/element.ts';
import { inittabFile } from '../../builder/services.ts';
import { fileEntry, mergeParts } from '../../builder/tree/tree.ts';

const owner = { element: 'e', source: 's', layer: 'elements' as const };
const entries = [fileEntry('usr/bin/doas', 'x'.repeat(100), 0o4755), fileEntry('etc/a.conf', 'abc')];
const tree = mergeParts([{ owner, entries, overrides: false }], () => false);
const check = (one: NonNullable<Element['checks']>[number]) => () =>
  checkElements([{ name: 'e', summary: 's', checks: [one] }], tree);

describe('what elements say of the finished tree', () => {
  test.each([
    [{ path: 'usr/bin/doas', reason: 'r', mode: 0o4755, maxBytes: 100 }],
    [{ path: 'etc/*.conf', reason: 'r' }],
    [{ path: 'etc/ssh/ssh_host_*', reason: 'r', absent: true }],
  ])('%j is true', (one) => {
    expect(check(one)).not.toThrow();
  });

  test.each([
    [{ path: 'usr/bin/sudo', reason: 'who needs it' }, 'e: there is no /usr/bin/sudo: who needs it'],
    [{ path: 'usr/bin/doas', reason: 'r', mode: 0o755 }, 'e: /usr/bin/doas has mode 04755, not 0755: r'],
    [{ path: 'usr/**', reason: 'r', maxBytes: 99 }, 'e: /usr/** has 100 bytes, more than 99: r'],
    [{ path: 'etc/*', reason: 'r', absent: true }, 'e: /etc/a.conf is there: r'],
  ])('%j is not', (one, why) => {
    expect(check(one)).toThrow(`cannot use the finished tree: ${why}`);
  });
});

test('services are lines of inittab, by when they start and then by their elements', () => {
  const elements: Element[] = [
    {
      name: 'a',
      summary: 's',
      services: { late: { run: '/a', start: 'respawn' }, first: { run: '/b', start: 'sysinit' } },
    },
    {
      name: 'b',
      summary: 's',
      services: { soon: { run: '/c d', start: 'wait' }, also: { run: '/e', start: 'respawn' } },
    },
  ];
  expect(inittabFile(elements)?.split('\n').slice(1)).toEqual([
    '::sysinit:/b',
    '::wait:/c d',
    '::respawn:/a',
    '::respawn:/e',
    '',
  ]);
  expect(inittabFile([])).toBeUndefined();
});
