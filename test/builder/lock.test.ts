import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { buildRequests, BUILD_OPTIONS } from '../../builder/commands/options.ts';
import type { DebianPackage } from '../../builder/debian/resolve.ts';
import { hostFailure } from '../../builder/host/failures.ts';
import {
  changedParts,
  checkLock,
  elementDigests,
  type Lock,
  lockedSelection,
  lockedTools,
  lockPackages,
  readLock,
} from '../../builder/lock.ts';
import { fetchSelection } from '../../builder/select.ts';
import { createProgress } from '../../cli/progress.ts';
import { parseOptions } from '../../cli/options.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const HERE = { main: 'http://here.example/debian', security: 'http://here.example/debian-security' };
const THERE = { main: 'file:///srv/mirror', security: undefined };

function chosen(name: string, url: string, depends: string[] = []): DebianPackage {
  return {
    name,
    url,
    version: '1-1',
    architecture: 'amd64',
    sizeBytes: 7,
    sha256: 'a'.repeat(64),
    depends,
    provides: [],
  };
}

const PACKAGES = [
  chosen('busybox', `${HERE.main}/pool/main/b/busybox_1-1_amd64.deb`, ['libc6', 'not-there', 'libc6']),
  chosen('libc6', `${HERE.security}/pool/updates/main/g/libc6_1-1_amd64.deb`),
];

const LOCK: Lock = {
  format: 2,
  arch: 'x86_64',
  release: 'trixie',
  request: { elements: ['agent'], packages: [] },
  elements: [
    { name: 'base', sha256: 'b1' },
    { name: 'agent', sha256: 'a1' },
  ],
  kernel: { sha256: 'k1' },
  initramfs: { compression: 'zstd:19', layers: [{ name: 'userland', sha256: 'u1' }] },
  packages: lockPackages(PACKAGES, HERE),
  node: { version: '24.21.0' },
  tools: [],
};

describe('locked packages', () => {
  test('say nothing about the mirror that they came from', () => {
    expect(LOCK.packages.map(({ path, archive, depends }) => ({ path, archive, depends }))).toEqual([
      { path: 'pool/main/b/busybox_1-1_amd64.deb', archive: undefined, depends: ['libc6'] },
      { path: 'pool/updates/main/g/libc6_1-1_amd64.deb', archive: 'security', depends: [] },
    ]);
    expect(JSON.stringify(LOCK)).not.toContain('here.example');
  });

  test('are found again at any mirror', () => {
    expect(lockedSelection(LOCK, HERE).main.map((one) => one.url)).toEqual(PACKAGES.map((one) => one.url));
    expect(lockedSelection(LOCK, THERE).main.map((one) => one.url)).toEqual([
      'file:///srv/mirror/pool/main/b/busybox_1-1_amd64.deb',
      'file:///srv/mirror/pool/updates/main/g/libc6_1-1_amd64.deb',
    ]);
  });

  test('that are tools fit machines of their architecture', () => {
    const lock = { ...LOCK, tools: LOCK.packages };
    expect(lockedTools(lock, 'amd64', HERE)?.map((one) => one.name)).toEqual(['busybox', 'libc6']);
    expect(lockedTools(lock, 'arm64', HERE)).toBeUndefined();
  });

  test('that a mirror no longer has are named', async () => {
    await using host = await fakeBuilderHost({
      // oxlint-disable-next-line require-yield -- a mirror that has nothing
      async *fetchBytes(url) {
        await Promise.reject(hostFailure('DOWNLOAD_FAILED', `${url}: the server answered 404`));
      },
    });
    const progress = createProgress('silent', process.stderr);
    const signal = new AbortController().signal;
    const context = { options: { host, progress, signal }, lock: LOCK };
    await expect(fetchSelection(context, { main: [PACKAGES[1] as DebianPackage], firmware: [] })).rejects.toMatchObject(
      {
        code: 'LOCKED_PACKAGE_GONE',
        message: expect.stringMatching(
          /^cannot get a package that is locked: libc6 1-1: .*404\n1 of 1 packages are missing: libc6_1-1_amd64.deb$/,
        ) as string,
      },
    );
  });
});

describe('a lock that does not fit', () => {
  const now = { ...LOCK, elements: [...LOCK.elements] };
  test('is taken when it does', () => {
    expect(() => checkLock(LOCK, now, 'x.json')).not.toThrow();
  });
  test.each([
    [{ ...now, arch: 'aarch64' }, 'it is for x86_64, not for aarch64'],
    [{ ...now, release: 'forky' }, 'it is of trixie, not of forky'],
    [{ ...now, elements: [{ name: 'base', sha256: 'b2' }, LOCK.elements[1]] }, 'element base has changed'],
    [{ ...now, elements: [...LOCK.elements, { name: 'devuser', sha256: 'd' }] }, 'element devuser is not in it'],
    [{ ...now, elements: LOCK.elements.slice(1) }, 'element base is only in it'],
    [{ ...now, node: { version: '25', npm: { name: 'n', integrity: 'sha512-x' } } }, 'Node was , and is n 25'],
  ] as [Lock, string][])('%#: %j', (other, difference) => {
    expect(() => checkLock(LOCK, other, 'x.json')).toThrow(
      expect.objectContaining({
        code: 'LOCK_MISMATCH',
        message: expect.stringContaining(`cannot build what x.json locks: ${difference}`) as string,
      }) as Error,
    );
  });

  test('names all differences at once', () => {
    expect(() => checkLock(LOCK, { ...now, arch: 'a', release: 'r', elements: [] }, 'x')).toThrow(
      /for a; it is of .* r; element base is only in it; element agent is only in it/,
    );
  });

  test('an element’s digest follows its declaration and its files, and not its place', async () => {
    const element = { name: 'base', summary: 's' };
    const digest = async (one: typeof element) => (await elementDigests([one]))[0]?.sha256;
    expect(await digest({ ...element })).toBe(await digest(element));
    expect(await digest({ ...element, summary: 't' })).not.toBe(await digest(element));
    expect(await digest({ ...element, name: 'none' })).not.toBe(await digest(element));
  });

  test('the parts that came out differently are named', () => {
    expect(changedParts(LOCK, LOCK)).toEqual([]);
    const layers = [
      { name: 'userland', sha256: 'u2' },
      { name: 'agent', sha256: 'x' },
    ];
    expect(changedParts(LOCK, { kernel: { sha256: 'k2' }, initramfs: { ...LOCK.initramfs, layers } })).toEqual([
      'kernel',
      'layer userland',
      'layer agent',
    ]);
  });
});

describe('a file that is no lock', () => {
  test('is refused with the field that is wrong', async () => {
    await using host = await fakeBuilderHost();
    const path = join(host.cache.root, 'x.json');
    await writeFile(path, JSON.stringify(LOCK));
    expect(await readLock(path)).toEqual(LOCK);
    await writeFile(path, (await readFile(path, 'utf8')).replace('"format":2', '"format":1'));
    await expect(readLock(path)).rejects.toMatchObject({
      code: 'NO_LOCK',
      message: expect.stringContaining('/format') as string,
    });
    await writeFile(path, '{');
    await expect(readLock(path)).rejects.toMatchObject({ code: 'NO_LOCK' });
    await expect(readLock(join(host.cache.root, 'none'))).rejects.toThrow('ENOENT');
  });
});

test('--locked takes the output’s own manifest, or the one that is named after it', () => {
  const request = (...argv: string[]) => {
    const { values, positionals } = parseOptions(BUILD_OPTIONS, argv);
    return buildRequests(values, positionals, {})[0];
  };
  expect(request('--locked')).toMatchObject({ lock: true, elements: undefined });
  expect(request('--locked', 'a/b.manifest.json')).toMatchObject({ lock: 'a/b.manifest.json', elements: undefined });
  expect(request('--locked', 'b.json', 'devuser')).toMatchObject({ lock: 'b.json', elements: ['agent', 'devuser'] });
  expect(request('b.json')).toMatchObject({ lock: false, elements: ['agent', 'b.json'] });
  expect(() => request('--locked', 'a.json', 'b.json')).toThrow('cannot build from a.json and b.json at once');
});
