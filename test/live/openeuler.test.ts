import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { chooseBase } from '../../builder/bases.ts';
import { bootRamdisk } from '../../builder/boot.ts';
import { buildRamdisk } from '../../builder/build.ts';
import type { BuildOptions } from '../../builder/context.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { fetchRpms } from '../../builder/rpm/fetch.ts';
import { resolveRpms } from '../../builder/rpm/resolve.ts';
import { openRpmWorkshop } from '../../builder/rpm/select.ts';
import { createProgress } from '../../cli/progress.ts';
import { NODE_UUID, startFakeIronic } from '../fakes/ironic.ts';
import { makeRpmMirror, type RpmMirror, type Spoil, spoilMirror } from '../lab/rpm-mirror/mirror.ts';
import { type ServedFolder, serveFolder } from '../lab/rpm-mirror/serve.ts';

// openEuler 22.03-LTS for loongarch64 from a mirror of openEuler's form: DNF, signatures, RPM packages and a boot are real, the
// content of the packages is Debian's.

const rowOf = (name: string) => findArchitecture(name) ?? expect.fail(`no ${name}`);
const row = rowOf('loongarch64');
const pc = rowOf('x86_64');
const progress = createProgress('silent', process.stderr);
const { signal } = new AbortController();
let folder: string;
let host: BuilderHost;
let mirror: RpmMirror;
let served: ServedFolder;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-openeuler-'));
  host = await openHost();
  mirror = await makeRpmMirror({ host, row, progress, signal });
  served = await serveFolder(mirror.folder);
});

afterEach(() => {
  served.override = undefined;
});

afterAll(async () => {
  await served.close();
  await rm(folder, { recursive: true, force: true });
});

/** Options of a build that gets no further than to its packages. */
function options(more: Partial<BuildOptions> = {}): BuildOptions {
  const mirrors = [`${served.url}/`];
  const base = {
    host,
    arch: 'loongarch64',
    release: '22.03-LTS',
    mirror: mirrors,
    keys: [mirror.key],
    progress,
    signal,
  };
  return { ...base, elements: ['base'], output: join(folder, 'refused'), ...more };
}

test('a ramdisk of RPM packages boots, and its agent heartbeats', async () => {
  const said: string[] = [];
  const name = join(folder, 'oe');
  const log = { ...progress, log: (line: string) => said.push(line) };
  const built = await buildRamdisk(options({ elements: ['agent'], output: name, compress: 'zstd:3', progress: log }));
  const packages = built.manifest.packages.map((one) => one.name);
  expect(packages).toEqual(expect.arrayContaining(['glibc', 'kernel', 'systemd-udev', 'util-linux', 'nodejs']));
  expect(packages).not.toContain('bash');
  expect(built.manifest.base).toBe('openEuler 22.03-LTS');
  expect(said.join('\n')).toContain('openEuler 22.03-LTS has no update for loongarch64: no security updates');

  const ironic = await startFakeIronic();
  const lines: string[] = [];
  const stop = new AbortController();
  const done = new Error('the agent has sent a heartbeat');
  const timer = setTimeout(() => stop.abort(new Error(`no heartbeat:\n${lines.slice(-40).join('\n')}`)), 600_000);
  const heartbeat = (async () => {
    const seen = await ironic.next(({ path }) => path === `/v1/heartbeat/${NODE_UUID}`);
    stop.abort(done);
    return seen;
  })();
  try {
    const running = bootRamdisk({
      host,
      name,
      iso: false,
      uefi: false,
      append: `ipa-api-url=${ironic.url.replace('127.0.0.1', '10.0.2.2')}`,
      cpus: 2,
      memoryMiB: 1536,
      disks: ['8G'],
      forwards: [],
      mirror: [],
      progress,
      signal: stop.signal,
      onStart: () => undefined,
      onLine: (line) => lines.push(line),
    });
    await expect(running).rejects.toBe(done);
    expect((await heartbeat).body).toMatchObject({ callback_url: expect.stringMatching(/^https:\/\/10\.0\.2\.15:/) });
    expect(lines.join('\n')).toMatch(/ingot: Ingot .* for loongarch64, openEuler 22\.03-LTS, Linux/);
  } finally {
    clearTimeout(timer);
    await ironic.close();
  }
});

describe('a mirror that is not to be trusted', () => {
  test('is one whose packages are signed with another key than the distribution’s', async () => {
    await expect(buildRamdisk(options({ keys: [] }))).rejects.toMatchObject({ code: 'BAD_SIGNATURE' });
  });

  test.each<[Spoil, string]>([
    ['unsigned', 'it is not signed'],
    ['changed', 'Payload SHA256 digest: BAD'],
  ])('is one with a package that is %s, whatever its lists say', async (spoil, problem) => {
    const target = join(folder, spoil);
    await spoilMirror({ host, row, progress, signal }, mirror, target, 'libgcc', spoil);
    const bad = await serveFolder(target);
    try {
      await expect(buildRamdisk(options({ mirror: [bad.url] }))).rejects.toMatchObject({
        code: 'BAD_SIGNATURE',
        message: expect.stringMatching(new RegExp(`cannot trust libgcc-.*\\.rpm: .*${problem}`)),
        hint: expect.stringContaining('--key'),
      });
    } finally {
      await bad.close();
      await rm(target, { recursive: true });
    }
  });

  test('is one whose lists are not those that were signed', async () => {
    served.override = (path) => (path.endsWith('repomd.xml') ? Buffer.from('<repomd></repomd>') : undefined);
    await expect(buildRamdisk(options())).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
      message: expect.stringContaining('cannot trust the package lists of'),
    });
  });

  test('is one with a package that has another digest than its lists say', async () => {
    const cache = join(folder, 'cache');
    await mkdir(cache);
    // All but the packages themselves: tools, and what APT knows of them.
    for (const kept of ['sysroots', 'apt', 'rpm']) await symlink(join(host.cache.root, kept), join(cache, kept));
    const fresh = { ...host, cache: (await openHost({ cache })).cache };
    served.override = (path) => (/\/libgcc-.*\.rpm$/.test(path) ? Buffer.from('no package') : undefined);
    await expect(buildRamdisk(options({ host: fresh }))).rejects.toMatchObject({ code: 'WRONG_DIGEST' });
    served.override = (path) => (/\/libgcc-.*\.rpm$/.test(path) ? 'hang up' : undefined);
    await expect(buildRamdisk(options({ host: fresh }))).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('libgcc'),
    });
  });
});

describe('a mirror that cannot be used', () => {
  test('is one without the release', async () => {
    await expect(buildRamdisk(options({ release: '24.03-LTS' }))).rejects.toMatchObject({
      code: 'MIRROR_UNREACHABLE',
      message: expect.stringContaining('openEuler-24.03-LTS/OS/loongarch64/'),
    });
  });

  test('is one that breaks off', async () => {
    served.override = () => 'hang up';
    await expect(buildRamdisk(options())).rejects.toMatchObject({ code: 'MIRROR_UNREACHABLE' });
  });

  test('is one without a package that somebody names', async () => {
    await expect(buildRamdisk(options({ packages: ['no-such-package'] }))).rejects.toMatchObject({
      code: 'CANNOT_RESOLVE',
      message: 'cannot choose packages: the mirror has no package no-such-package',
    });
  });

  test('needs a key that is one', async () => {
    const keys = [join(folder, 'no.key')];
    await expect(buildRamdisk(options({ keys }))).rejects.toMatchObject({ code: 'NO_KEY' });
  });
});

test('the packages of another architecture are chosen and unpacked on this machine as well', async () => {
  const only = [
    'openEuler-release',
    'filesystem',
    'setup',
    'basesystem',
    'glibc',
    'glibc-common',
    'bash',
    'ncurses-libs',
  ];
  const small = await makeRpmMirror({ host, row: pc, progress, signal }, [...only, 'libgcc']);
  const release = chooseBase(pc, '22.03-LTS');
  const shop = await openRpmWorkshop({ options: options({ keys: [small.key] }), release });
  const { packages } = await resolveRpms(shop.tools, {
    base: release,
    row: pc,
    mirror: `file://${small.folder}`,
    keys: shop.keys,
    packages: ['bash'],
    optional: [],
    without: ['glibc-common'],
  });
  // libgcc is on the mirror, and nothing needs it.
  expect(packages.map((one) => one.name)).toEqual(only.filter((name) => name !== 'glibc-common').toSorted());
  const unpacked = await fetchRpms(shop, packages, progress);
  const paths = new Map(unpacked.flatMap((one) => one.entries).map((entry) => [entry.path, entry]));
  expect(paths.get('usr/bin/bash')).toMatchObject({ type: 'file', mode: 0o755, uid: 0, gid: 0 });
  expect(paths.get('usr/bin/sh')).toMatchObject({ type: 'symlink', target: 'bash' });
  expect(unpacked.find((one) => one.name === 'glibc')?.scripts).toEqual([
    { kind: '%post', interpreter: '<lua>', text: expect.stringContaining('os.remove') },
  ]);
});
