import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { basesFor, chooseBase, findBase } from '../../builder/bases.ts';

const row = (name: string) => findArchitecture(name) ?? expect.fail(name);
const BASES = [...new Set(ARCHITECTURE_NAMES.flatMap((name) => basesFor(row(name))))];

describe('the release alone says what a ramdisk is made of', () => {
  test.each([
    ['22.03-LTS', 'openEuler 22.03-LTS'],
    ['22.03', 'openEuler 22.03-LTS'],
    ['2203', 'openEuler 22.03-LTS'],
    ['22.03LTS', 'openEuler 22.03-LTS'],
    ['openEuler-22.03-LTS', 'openEuler 22.03-LTS'],
    ['22.03-lts-sp4', 'openEuler 22.03-LTS-SP4'],
    ['2203SP1', 'openEuler 22.03-LTS-SP1'],
    ['24.03', 'openEuler 24.03-LTS'],
    ['24.03-LTS-SP3', 'openEuler 24.03-LTS-SP3'],
    ['9-stream', 'CentOS Stream 9'],
    ['9', 'CentOS Stream 9'],
    ['10', 'CentOS Stream 10'],
    ['stream10', 'CentOS Stream 10'],
    ['13', 'Debian 13 (trixie)'],
    ['Trixie', 'Debian 13 (trixie)'],
    ['debian-14', 'Debian 14 (forky)'],
  ])('%s is %s', (name, title) => {
    expect(findBase(name)?.title).toBe(title);
  });

  test('no two releases share a name', () => {
    const names = BASES.flatMap((base) => [base.name.toLowerCase(), ...base.aliases]);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test('every name of a release finds it again, in whatever case it is written', () => {
    fc.assert(
      fc.property(fc.constantFrom(...BASES), fc.nat(), fc.boolean(), (base, pick, upper) => {
        const names = [base.name, ...base.aliases];
        const name = names[pick % names.length] ?? base.name;
        expect(findBase(upper ? name.toUpperCase() : name)).toBe(base);
      }),
    );
  });
});

describe('what an architecture can be made of', () => {
  test('is the first release that has it, unless one is named', () => {
    expect(ARCHITECTURE_NAMES.map((name) => [name, chooseBase(row(name)).name])).toEqual([
      ['x86_64', 'trixie'],
      ['aarch64', 'trixie'],
      ['loongarch64', 'forky'],
    ]);
    expect(chooseBase(row('loongarch64'), undefined, 'openeuler').name).toBe('22.03-LTS');
    expect(chooseBase(row('x86_64'), undefined, 'centos').name).toBe('9-stream');
  });

  test.each<[wish: { arch: string; release?: string; of?: string }, message: string, hint: string]>([
    [{ arch: 'x86_64', release: 'potato' }, 'cannot build from release potato for x86_64', 'use one of trixie, forky'],
    [{ arch: 'x86_64', release: 'trixi' }, 'cannot build from release trixi for x86_64', 'did you mean trixie?'],
    [{ arch: 'x86_64', release: '22.30-LTS' }, 'release 22.30-LTS for x86_64', 'did you mean 22.03-LTS?'],
    [{ arch: 'loongarch64', release: '9-stream' }, 'release 9-stream for loongarch64', 'use one of forky, 22.03-LTS'],
    [{ arch: 'loongarch64', release: '22.03-LTS-SP1' }, 'for loongarch64', '24.03-LTS-SP1'],
    [{ arch: 'x86_64', release: '9', of: 'openeuler' }, 'release 9 of openeuler for x86_64', 'use one of 22.03-LTS'],
    [{ arch: 'loongarch64', of: 'centos' }, 'release centos for loongarch64', 'use one of forky, 22.03-LTS'],
  ])('%o is refused with what there is', ({ arch, release, of }, message, hint) => {
    let failure: unknown;
    try {
      chooseBase(row(arch), release, of);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({
      code: 'UNKNOWN_RELEASE',
      exitCode: 2,
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    });
  });
});
