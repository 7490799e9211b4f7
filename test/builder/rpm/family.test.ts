import { describe, expect, test } from 'vitest';

import { findArchitecture } from '../../../arch/table.ts';
import type { Element } from '../../../builder/element/element.ts';
import { expandElements } from '../../../builder/elements.ts';
import { packageParts, standInParts } from '../../../builder/parts.ts';
import { makePlan } from '../../../builder/plan.ts';
import { fileEntry } from '../../../builder/tree/tree.ts';

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
    const names = ['nodejs', 'node-undici', 'node-acorn'];
    expect(plan.fromDebian?.packages).toEqual(names.map((name) => ({ name, element: 'one' })));
    expect(makePlan([element], row('x86_64'), 'rpm').fromDebian).toBeUndefined();
  });

  test('takes from Debian what the base does not have, and only what was wanted of it', () => {
    const other = makePlan([element], row('x86_64'), 'rpm', { 'util-linux': 'util-linux-static' });
    expect(other.packages.map((one) => one.name)).toEqual(['kernel', 'glibc']);
    expect(other.fromDebian?.packages).toEqual([
      { name: 'util-linux-static', element: 'one', only: ['usr/bin/mount', 'usr/bin/lsblk'] },
    ]);
    const file = (path: string) => fileEntry(path, path);
    const deb = {
      name: 'util-linux-static',
      version: '1',
      architecture: 'amd64',
      url: 'http://mirror.example/x.deb',
      sha256: '',
      sizeBytes: 1,
      depends: [],
      provides: [],
      scripts: [],
      entries: [file('usr/bin/mount'), file('usr/bin/more')],
    };
    expect(packageParts(other, [deb])).toEqual([]);
    expect(standInParts(other, [deb]).flatMap((one) => one.entries)).toEqual([file('usr/bin/mount')]);
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
      'dosfstools',
      'e2fsprogs',
      'efibootmgr',
      'gdisk',
      'glibc',
      'kernel',
      'kmod',
      'libgcc',
      'libstdc++',
      'mdadm',
      'systemd',
      'systemd-udev',
      'util-linux',
    ]);
  });

  test('what erases disks is there under that base’s names, where it is wanted', async () => {
    const namesOf = async (...elements: string[]) =>
      makePlan(await expandElements(elements), row('aarch64'), 'rpm').packages.map((one) => one.name);
    const before = await namesOf('agent');
    const after = await namesOf('agent', 'erase-tools', 'sg3-utils');
    expect(after.filter((name) => !before.includes(name)).toSorted()).toEqual(['hdparm', 'nvme-cli', 'sg3_utils']);
    // On Debian the first two are in every ramdisk, and are named twice.
    const debian = makePlan(await expandElements(['agent', 'erase-tools']), row('aarch64')).packages;
    expect(debian.find(({ name }) => name === 'hdparm')?.only).toEqual(['usr/sbin/hdparm', 'usr/sbin/hdparm']);
  });
});
