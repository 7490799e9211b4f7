import { describe, expect, test } from 'vitest';

import { mergeHooks } from '../../../builder/dib/hooks.ts';
import { packageInstalls, parsePackageInstalls } from '../../../builder/dib/packages.ts';
import { fakeFolders } from '../../fakes/element-folders.ts';

const facts = {
  architectureNames: ['x86_64', 'amd64', 'x64'],
  env: { DIB_PYTHON_VERSION: '3', DISTRO_NAME: 'debian' },
  installType: () => 'source',
};
const parse = (text: string) => parsePackageInstalls(text, 'package-installs.yaml', 'thing', facts);
const names = (text: string) => parse(text).map((row) => row.name);
const row = { element: 'thing', name: 'vim', phase: 'install.d', uninstall: false, buildOnly: false };

async function selected(files: Record<string, string>) {
  const folders = fakeFolders(
    Object.fromEntries(Object.entries(files).map(([path, text]) => [`/e/${path}`, text] as const)),
  );
  const elements = [...new Set(Object.keys(files).map((path) => path.split('/')[0] ?? ''))].map((name) => ({
    name,
    folder: `/e/${name}`,
    deps: [],
    provides: [],
  }));
  const found = await packageInstalls(elements, await mergeHooks(elements, folders), folders, facts);
  const list = (phase: string, kind: 'install' | 'uninstall') => found.get(phase)?.[kind].map((one) => one.name);
  return { install: list('install.d', 'install'), uninstall: list('install.d', 'uninstall'), list };
}

describe('an entry of package-installs.yaml', () => {
  test('may be a name alone, with fields, or with several sets of fields', () => {
    expect(parse('vim:')).toEqual([row]);
    expect(parse('vim: {phase: post-install.d}')).toEqual([{ ...row, phase: 'post-install.d' }]);
    expect(parse('vim:\n  - arch: amd64\n  - phase: pre-install.d').map((one) => one.phase)).toEqual([
      'install.d',
      'pre-install.d',
    ]);
    expect(parse('')).toEqual([]);
  });

  test('is removed only when it says so: false means no', () => {
    expect(parse('vim: {uninstall: true}')).toEqual([{ ...row, uninstall: true }]);
    expect(parse('vim: {uninstall: false}')).toEqual([row]);
    expect(parse('vim: {build-only: "True"}')).toEqual([{ ...row, buildOnly: true }]);
    expect(() => parse('vim: {uninstall: maybe}')).toThrow('vim: uninstall must be true or false, not "maybe"');
  });

  test('counts by any name of the architecture, with or without spaces in its list', () => {
    expect(names('a: {arch: x86_64}\nb: {arch: "ppc64, amd64"}\nc: {arch: arm64}')).toEqual(['a', 'b']);
    expect(names('a: {not-arch: x64}\nb: {not-arch: "arm64, ppc64"}')).toEqual(['b']);
    expect(() => parse('a: {arch: x64, not-arch: arm64}')).toThrow('a: arch and not-arch exclude each other');
  });

  test('counts by installation type and version of Python', () => {
    expect(names('a: {installtype: source}\nb: {installtype: package}')).toEqual(['a']);
    expect(names('a: {dib_python_version: 3}\nb: {dib_python_version: 2}')).toEqual(['a']);
  });

  test('counts when all its conditions hold', () => {
    expect(names('a: {when: DISTRO_NAME = debian}\nb: {when: DISTRO_NAME!=debian}')).toEqual(['a']);
    expect(names('a: {when: [DISTRO_NAME = debian, DIB_PYTHON_VERSION != 3]}')).toEqual([]);
    expect(() => parse('a: {when: DIB_NOT_SET = 1}')).toThrow('a: when asks for DIB_NOT_SET, which is not set');
  });

  test('with a field or a phase that nobody knows is refused by name', () => {
    expect(() => parse('a: {phases: install.d}')).toThrow('package-installs.yaml: a: phases is none of phase,');
    expect(() => parse('a: {phase: install}')).toThrow('a: phase must be one of pre-install.d');
    expect(() => parse('- a')).toThrow('it must map names of packages');
    expect(() => parse('a: [')).toThrow('cannot read package-installs.yaml');
  });
});

describe('the packages of several elements', () => {
  test('that one wants to keep are not removed for another', async () => {
    const { install, uninstall } = await selected({
      'one/package-installs.yaml': 'gcc: {build-only: true}\nvim: {uninstall: true}\nnano: {uninstall: true}',
      'two/package-installs.yaml': 'vim:',
    });
    expect(install).toEqual(['gcc', 'vim']);
    expect(uninstall).toEqual(['gcc', 'nano']);
  });

  test('are removed when the other entry does not count here', async () => {
    const { uninstall } = await selected({
      'one/package-installs.yaml': 'vim: {uninstall: true}',
      'two/package-installs.yaml': 'vim: {when: DISTRO_NAME = fedora}',
    });
    expect(uninstall).toEqual(['vim']);
  });

  test('may stand in files of the older form', async () => {
    const { install, uninstall, list } = await selected({
      'one/install.d/package-installs-one': '# tools\nless\n-nano\n\n',
      'one/post-install.d/package-installs-one': 'tree\n',
    });
    expect(install).toEqual(['less']);
    expect(uninstall).toEqual(['nano']);
    expect(list('post-install.d', 'install')).toEqual(['tree']);
  });
});
