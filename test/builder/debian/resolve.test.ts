import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import {
  expiredSuites,
  packageIndex,
  parsePrintUris,
  relationNames,
  resolvePackages,
} from '../../../builder/debian/resolve.ts';
import { parseStanzas } from '../../../builder/debian/stanza.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeBuilderHost, realBuilderHost } from '../../fakes/builder-host.ts';

const SHA = { a: 'a'.repeat(64), b: 'b'.repeat(64), c: 'c'.repeat(64) };
// As `apt-get install --print-uris` of APT 2.6 prints it, shortened.
const URIS = `Reading package lists...
Need to get 500 kB of archives.
'http://m.example/debian/pool/main/b/busybox/busybox_1.37.0-6%2bb9_amd64.deb' busybox_1%3a1.37.0-6+b9_amd64.deb 484988 SHA256:${SHA.a}
'http://m.example/debian/pool/main/g/glibc/libc6_2.41-12_amd64.deb' libc6_2.41-12_amd64.deb 2850108 SHA256:${SHA.b}
'http://m.example/debian/pool/main/d/debconf/debconf_1.5.91_all.deb' debconf_1.5.91_all.deb 121088 SHA256:${SHA.c}
`;
const SHOW = `Package: busybox
Version: 1:1.37.0-6+b9
Depends: libc6 (>= 2.38),
 nothing-virtual | libc6:any
SHA256: ${SHA.a}

Package: libc6
Version: 2.41-12
Depends: debconf (>= 0.5) | debconf-2.0
SHA256: ${SHA.b}

Package: debconf
Version: 1.5.91
Provides: debconf-2.0 (= 1)
SHA256: ${SHA.c}
`;
const QUESTION = {
  mirror: { main: 'http://m.example/debian', security: undefined },
  release: 'trixie',
  architecture: 'amd64',
};
const signal = new AbortController().signal;

/** A host whose APT answers from recordings; what it was asked is kept. */
async function recordedApt(answers: Partial<Record<string, string | Error>> = {}) {
  const asked: string[] = [];
  const host = await fakeBuilderHost({
    run: (file, args) => {
      const words = [file, ...args].join(' ');
      asked.push(words);
      const known: Record<string, string | Error> = {
        'apt-config': '',
        update: '',
        install: URIS,
        show: SHOW,
        ...answers,
      };
      const answer = Object.entries(known).find(([key]) => words.startsWith(key) || args.includes(key))?.[1] ?? '';
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve({ stdout: answer, stderr: '', exitCode: 0 });
    },
  });
  return { host, asked };
}

function aptError(stderr: string): Failure {
  return new Failure('COMMAND_FAILED', 'cannot run apt-get', { cause: { stderr, stdout: '' } });
}

describe('APT’s words', () => {
  test('--print-uris', () => {
    expect(parsePrintUris(URIS)[0]).toEqual({
      url: 'http://m.example/debian/pool/main/b/busybox/busybox_1.37.0-6%2bb9_amd64.deb',
      name: 'busybox',
      version: '1:1.37.0-6+b9',
      architecture: 'amd64',
      sizeBytes: 484_988,
      sha256: SHA.a,
    });
    expect(parsePrintUris("'http://x/y_1_all.deb' y_1_all.deb 5 MD5Sum:d41d8cd98f00b204e9800998ecf8427e")).toEqual([]);
  });

  test('relations and stanzas', () => {
    expect(relationNames('a (>= 1) | b, c:any, d [amd64]')).toEqual(['a', 'b', 'c', 'd']);
    expect(relationNames(undefined)).toEqual([]);
    expect(parseStanzas('A: 1\nB: x\n y\n\n\nA: 2').map((one) => Object.fromEntries(one))).toEqual([
      { a: '1', b: 'x\ny' },
      { a: '2' },
    ]);
  });
});

describe('resolvePackages', () => {
  test('gives what APT chose, by name, with what it depends on', async () => {
    const { host } = await recordedApt();
    await using _ = host;
    const packages = await resolvePackages(host, { ...QUESTION, packages: ['busybox'] }, signal);
    expect(packages.map((one) => one.name)).toEqual(['busybox', 'debconf', 'libc6']);
    expect(packages[0]?.depends).toEqual(['libc6', 'nothing-virtual', 'libc6']);
    expect(packageIndex(packages).get('debconf-2.0')?.name).toBe('debconf');
  });

  test('leaves out what is not wanted, and all that only that needs', async () => {
    const { host } = await recordedApt();
    await using _ = host;
    const names = async (without: string[]) =>
      (await resolvePackages(host, { ...QUESTION, packages: ['busybox'], without }, signal)).map((one) => one.name);
    expect(await names(['debconf'])).toEqual(['busybox', 'libc6']);
    expect(await names(['libc6'])).toEqual(['busybox']);
  });

  test('asks for optional packages only where the lists have them', async () => {
    const { host, asked } = await recordedApt({ pkgnames: 'busybox\nlibc6\n' });
    await using _ = host;
    await resolvePackages(host, { ...QUESTION, packages: [], optional: ['firmware-x', 'busybox'] }, signal);
    const install = asked.find((words) => words.includes(' install ')) ?? '';
    expect(install).toMatch(/ busybox$/);
    expect(install).not.toContain('firmware-x');
  });

  test('refuses a package that no signed list has', async () => {
    const { host } = await recordedApt({ show: SHOW.replace(SHA.b, SHA.c) });
    await using _ = host;
    await expect(resolvePackages(host, { ...QUESTION, packages: ['busybox'] }, signal)).rejects.toThrow(
      'libc6 2.41-12 is in no signed list',
    );
  });

  test.each([
    ['E: Unable to locate package nosuch', 'install', 'CANNOT_RESOLVE', 'Unable to locate package nosuch'],
    [
      'W: Failed to fetch http://m.example/x  Could not resolve host\nE: Some index files failed',
      'update',
      'MIRROR_UNREACHABLE',
      'Could not resolve',
    ],
    [
      'W: GPG error: http://m.example trixie InRelease: NO_PUBKEY 0E98404D386FA1D9\nE: not signed',
      'update',
      'BAD_SIGNATURE',
      'NO_PUBKEY',
    ],
    [
      'E: Release file for http://m.example/InRelease is expired (invalid since 3d)',
      'update',
      'MIRROR_UNREACHABLE',
      'is expired',
    ],
    ['E: Write error - write (28: No space left on device)', 'update', 'DISK_FULL', 'the disk is full'],
  ])('explains %s', async (stderr, program, code, text) => {
    const { host } = await recordedApt({ [program]: aptError(stderr) });
    await using _ = host;
    await expect(resolvePackages(host, { ...QUESTION, packages: ['nosuch'] }, signal)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text) as string,
    });
  });
});

describe('lists past their date', () => {
  test('are accepted only of a release whose row says why, signed all the same, and are reported', async () => {
    const stanzas = async (release: string) => {
      const { host } = await recordedApt();
      await using _ = host;
      const question = { ...QUESTION, release };
      await resolvePackages(host, { ...question, packages: ['busybox'] }, signal);
      const [world = ''] = await readdir(join(host.cache.root, 'apt'));
      const folder = join(host.cache.root, 'apt', world);
      const lists = join(folder, 'state/lists');
      const date = 'Codename: old\nValid-Until: Fri, 06 Nov 2026 08:08:01 UTC\n';
      await writeFile(join(lists, 'm_dists_old_InRelease'), date);
      await writeFile(join(lists, 'm_dists_always_InRelease'), 'Codename: always\n');
      return {
        sources: await readFile(join(folder, 'sources/debian.sources'), 'utf8'),
        before: await expiredSuites(host, question, new Date('2026-11-06T08:08:00Z')),
        after: await expiredSuites(host, question, new Date('2026-11-06T08:08:02Z')),
      };
    };
    const [trixie, forky] = [await stanzas('trixie'), await stanzas('forky')];
    expect(trixie.sources).not.toContain('Check-Valid-Until');
    expect(forky.sources).toContain('Check-Valid-Until: no');
    expect(forky.sources).toContain('Signed-By: /');
    expect(forky.before).toEqual([]);
    expect(forky.after).toEqual([{ suite: 'old', validUntil: 'Fri, 06 Nov 2026 08:08:01 UTC' }]);
  });
});

// Real APT against a mirror in a folder: whatever its version says, an unsigned list is refused.
describe('a mirror that nobody signed', () => {
  test.each(['trixie', 'forky'])('is refused by APT itself: %s', async (release) => {
    await using host = await realBuilderHost();
    const mirror = join(host.cache.root, 'mirror');
    await mkdir(join(mirror, `dists/${release}`), { recursive: true });
    await writeFile(
      join(mirror, `dists/${release}/Release`),
      `Origin: nobody\nSuite: ${release}\nCodename: ${release}\nComponents: main\nArchitectures: amd64\n`,
    );
    const question = {
      ...QUESTION,
      release,
      mirror: { main: `file://${mirror}`, security: undefined },
      packages: ['busybox'],
    };
    await expect(resolvePackages(host, question, signal)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' });
  });

  test('is told from one that is not there', async () => {
    await using host = await realBuilderHost();
    const mirror = { main: `file://${host.cache.root}/nothing`, security: undefined };
    await expect(resolvePackages(host, { ...QUESTION, mirror, packages: ['busybox'] }, signal)).rejects.toMatchObject({
      code: 'MIRROR_UNREACHABLE',
    });
  });
});
