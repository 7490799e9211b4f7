import { describe, expect, test } from 'vitest';

import { findArchitecture } from '../../../arch/table.ts';
import type { Element } from '../../../builder/element/element.ts';
import { expandElements } from '../../../builder/elements.ts';
import { makePlan } from '../../../builder/plan.ts';

const row = (name: string) => findArchitecture(name) ?? expect.fail(name);

const element: Element = {
  name: 'one',
  summary: 'a test',
  packages: [
    { name: '{kernel}', reason: 'r' },
    { name: 'libc6', reason: 'r', only: ['usr/lib/*/lib*.so*'], rpm: { name: 'glibc' } },
    { name: 'mount', reason: 'r', only: ['usr/bin/mount'], rpm: { name: 'util-linux' } },
    { name: 'util-linux', reason: 'r', only: ['usr/bin/lsblk'] },
    { name: 'base-files', reason: 'r', rpm: null },
  ],
  without: { dash: 'r' },
  rpm: { without: { bash: 'r' }, links: { 'usr/bin/busybox': '../sbin/busybox' } },
  agent: { node: 'opt/ingot/node', bundle: 'opt/ingot/agent.cjs' },
};

describe('an element on a base of RPM packages', () => {
  const plan = makePlan([element], row('loongarch64'), 'rpm');

  test('has the names and places of that base', () => {
    expect(plan.packages.map(({ name, only }) => ({ name, only }))).toEqual([
      { name: 'kernel', only: undefined },
      { name: 'glibc', only: ['usr/lib{/*,64}/lib*.so*'] },
      { name: 'util-linux', only: ['usr/bin/mount', 'usr/bin/lsblk'] },
    ]);
    expect(plan.without).toEqual(['bash', 'dash']);
    expect(plan.elements[0]?.links).toEqual({ 'usr/bin/busybox': '../sbin/busybox' });
  });

  test('takes Node from Debian only where npm has none', () => {
    expect(plan.fromDebian).toMatchObject({ packages: ['nodejs', 'node-undici', 'node-acorn'], element: 'one' });
    expect(makePlan([element], row('x86_64'), 'rpm').fromDebian).toBeUndefined();
  });

  test('is on Debian as if it had no such names', () => {
    expect(makePlan([element], row('x86_64')).packages.map((one) => one.name)).toEqual([
      'linux-image-amd64',
      'libc6',
      'mount',
      'util-linux',
      'base-files',
    ]);
  });

  test('no package of the agent’s own elements keeps a name that only Debian has', async () => {
    const names = makePlan(await expandElements(['agent']), row('loongarch64'), 'rpm').packages.map((one) => one.name);
    expect(names.toSorted()).toEqual([
      'busybox',
      'efibootmgr',
      'gdisk',
      'glibc',
      'kernel',
      'kmod',
      'libgcc',
      'libstdc++',
      'systemd',
      'systemd-udev',
      'util-linux',
    ]);
  });
});
