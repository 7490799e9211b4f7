import { describe, expect, test } from 'vitest';

import type { Element } from '../../../builder/element/element.ts';
import { checkScripts, sysusersNames } from '../../../builder/scripts/coverage.ts';
import type { PackageScript } from '../../../builder/scripts/shell.ts';
import { fileEntry } from '../../../builder/tree/tree.ts';

const script = (text: string, kind = 'postinst'): PackageScript => ({ kind, interpreter: '/bin/sh', text });
const make = (name: string, scripts: PackageScript[], files: Record<string, string> = {}) => ({
  name,
  scripts,
  entries: Object.entries(files).map(([path, text]) => fileEntry(path, text)),
});
const element = (fields: Partial<Element>): Element => ({ name: 'e', summary: 's', ...fields });

describe('the scripts of packages', () => {
  test('that do nothing that matters are nobody’s business', async () => {
    await expect(checkScripts([], [make('a', [script('set -e\nldconfig\n')])])).resolves.toBeUndefined();
  });

  test('that matter name the package, the script and the commands', async () => {
    const packages = [
      make('a', [script('mkdir /x\nset -e'), script('adduser y', 'preinst')]),
      make('b', [script('rm /z')]),
    ];
    await expect(checkScripts([], packages)).rejects.toMatchObject({
      code: 'SCRIPT_NOT_COVERED',
      message: expect.stringMatching(
        /do: a\n {2}postinst: mkdir \/x\n {2}preinst: adduser y\nb\n {2}postinst: rm \/z$/,
      ) as string,
      hint: expect.stringContaining('in its scripts') as string,
    });
  });

  test('that are long show their beginning', async () => {
    const text = Array.from({ length: 20 }, (_, index) => `touch /${index}`).join('\n');
    await expect(checkScripts([], [make('a', [script(text)])])).rejects.toThrow(/touch \/5\n {4}… and 14 more$/);
  });

  test('are covered by an element that names the package, by a glob as well', async () => {
    const elements = [element({ scripts: { 'linux-image-*': 'no /boot' } })];
    const packages = (name: string) => [make(name, [script('touch /boot/x')])];
    await expect(checkScripts(elements, packages('linux-image-6.12'))).resolves.toBeUndefined();
    await expect(checkScripts(elements, packages('linux-base'))).rejects.toThrow('linux-base');
  });

  test('users and groups of sysusers.d must be declared', async () => {
    const files = { 'usr/lib/sysusers.d/x.conf': 'u tss 59 - /\ng render -\nm tss video\n' };
    const one = make('a', [script('systemd-sysusers x.conf')], files);
    await expect(checkScripts([], [one])).rejects.toThrow(
      'sysusers: the user tss of /usr/lib/sysusers.d/x.conf, the group render of /usr/lib/sysusers.d/x.conf, the group video of',
    );
    const groups = ['tss', 'render', 'video'].map((name, index) => ({ name, id: 200 + index }));
    const declared = [element({ users: [{ name: 'tss', id: 59 }], groups })];
    await expect(checkScripts(declared, [one])).resolves.toBeUndefined();
  });
});

test('sysusers.d is read as systemd reads it', () => {
  expect(
    sysusersNames(
      '# comment\nu! sshd - "sshd user" /run/sshd\ng kvm 61\n  u _chrony 125:nogroup\nr - 500-900\nm a b\n',
    ),
  ).toEqual({ users: ['sshd', '_chrony'], groups: ['kvm', 'b', 'sshd'] });
});
