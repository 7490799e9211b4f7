import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { findArchitecture } from '../../arch/table.ts';
import { chooseBase } from '../../builder/bases.ts';
import { buildRamdisk } from '../../builder/build.ts';
import { splitWords } from '../../builder/commands/words.ts';
import type { BuildOptions } from '../../builder/context.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import type { Manifest } from '../../builder/manifest.ts';
import { fetchRpms } from '../../builder/rpm/fetch.ts';
import { resolveRpms } from '../../builder/rpm/resolve.ts';
import { openRpmWorkshop } from '../../builder/rpm/workshop.ts';
import { createProgress } from '../../cli/progress.ts';
import {
  CONDUCTED_DISKS,
  CONDUCTED_MAC,
  type ConductedMachine,
  conductMachine,
  logInOnConsole,
} from '../lab/conducted.ts';
import { runProgramJson } from '../lab/demo/programs.ts';
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

describe('the command line that people with LoongArch machines know, apart from the program’s name', () => {
  const password = randomBytes(9).toString('base64url');
  const said: string[] = [];
  let manifest: Manifest;
  let conducted: ConductedMachine;

  beforeAll(async () => {
    const name = join(folder, 'ipa-loongarch64');
    const line = `-o ${name} -e "devuser dynamic-login dhcp-all-interfaces deploy-baremetal" --release 22.03-LTS openeuler-minimal --extra-args=-x`;
    await runProgramJson('build-ramdisk', [...splitWords(line), '--key', mirror.key, '--compress', 'zstd:3'], {
      run: host.run,
      progress: { ...progress, log: (text) => said.push(text) },
      signal,
      env: {
        ARCH: 'loongarch64',
        DIB_DISTRIBUTION_MIRROR: `${served.url}/`,
        DIB_DEV_USER_USERNAME: 'devuser',
        DIB_DEV_USER_PWDLESS_SUDO: 'YES',
        DIB_DEV_USER_PASSWORD: password,
      },
    });
    manifest = JSON.parse(await readFile(`${name}.manifest.json`, 'utf8')) as Manifest;
    conducted = await conductMachine({
      host,
      arch: 'loongarch64',
      ramdisk: name,
      folder: join(folder, 'machine'),
      parameters: [],
      progress,
      signal,
    });
  });
  afterAll(() => conducted[Symbol.asyncDispose]());

  test('takes openEuler’s packages, and says what the release does not have and what an element does not do', () => {
    const packages = manifest.packages.map((one) => one.name);
    expect(packages).toEqual(expect.arrayContaining(['glibc', 'kernel', 'systemd-udev', 'util-linux', 'nodejs']));
    expect(packages).not.toContain('bash');
    expect(manifest.base).toBe('openEuler 22.03-LTS');
    expect(said.join('\n')).toContain('openEuler 22.03-LTS has no update for loongarch64: no security updates');
    expect(said.join('\n')).toMatch(/warning: .*deploy-baremetal/);
  });

  test('makes a ramdisk that boots over the network, and the conductor reads the machine’s inventory', async () => {
    const inventory = await conducted.inspect();
    expect(inventory.cpu).toMatchObject({ architecture: 'loongarch64', count: 2 });
    expect(inventory.interfaces).toEqual([expect.objectContaining({ mac_address: CONDUCTED_MAC })]);
    const disks = inventory.disks.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(disks.map(({ name, serial, size }) => ({ name, serial, size }))).toEqual(CONDUCTED_DISKS);
    const shown = conducted.machine.serial.tail(400).join('\n');
    expect(shown).toMatch(/ingot: Ingot .* for loongarch64, openEuler 22\.03-LTS/);
  });

  test('in which devuser logs in and becomes root', async () => {
    const command = 'echo I was $(id -un), and am $(sudo id -un)';
    const login = { user: 'devuser', password };
    const [, answer] = await logInOnConsole(conducted.machine, login, command, /(I was \w+, and am \w*)\n/);
    expect(answer).toBe('I was devuser, and am root');
  });
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
    // All but the packages themselves: tools, and what APT knows of them, with the locks for those who use it at the same time.
    for (const kept of ['sysroots', 'apt', 'rpm', 'locks'])
      await symlink(join(host.cache.root, kept), join(cache, kept));
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
  const shop = await openRpmWorkshop(release, options({ keys: [small.key] }));
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
