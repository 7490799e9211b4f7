import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { buildRamdisk } from '../../builder/build.ts';
import { openHost } from '../../builder/host/system.ts';
import type { BuildResult } from '../../builder/results.ts';
import type { Progress } from '../../cli/progress.ts';
import { systemRun, systemRunBytes } from '../../system/run.ts';

// Real builds with elements that bring packages, users and services; what they made is taken out of the initramfs again.

const { signal } = new AbortController();
const PASSWORD = 'not in any output';
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVlZWVl me';
let folder: string;
let root: string;
let result: BuildResult;
const said: string[] = [];
const progress: Progress = { update: () => undefined, log: (line) => said.push(line), finish: () => undefined };

const build = async (output: string, options: { elements: string[]; env?: Record<string, string>; own?: string }) =>
  buildRamdisk({
    host: await openHost({}),
    arch: 'x86_64',
    elements: ['agent', ...options.elements],
    elementsPath: options.own === undefined ? [] : [options.own],
    env: options.env ?? {},
    // Quicker: nothing here is about size.
    compress: 'zstd:3',
    output: join(folder, output),
    progress,
    signal,
  });

/** Unpacks layers of an initramfs as files; without root their owners are lost, so those are read from the archive's own list. */
async function unpack({ initramfs, manifest }: BuildResult, wanted: readonly string[]): Promise<string> {
  const bytes = await readFile(initramfs.path);
  let offset = 0;
  let listing = '';
  for (const layer of manifest.initramfs.layers) {
    const part = bytes.subarray(offset, offset + layer.bytes);
    offset += layer.bytes;
    if (!wanted.includes(layer.name)) continue;
    const archive = await systemRunBytes('zstd', ['-dcq'], { input: part });
    listing += (await systemRun('cpio', ['-itvn', '--quiet'], { input: archive })).stdout;
    await systemRun('cpio', ['-idm', '--quiet', '--no-preserve-owner'], { input: archive, cwd: root });
  }
  return listing;
}

/** Mode, owner and group of a path as `cpio -tvn` says them. */
const facts = (path: string) => {
  const line = listing.split('\n').find((one) => one.endsWith(` ${path}`)) ?? '';
  const [mode = '', , uid = '', gid = ''] = line.split(/\s+/);
  return [mode, uid, gid];
};
let listing = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-live-elements-'));
  root = join(folder, 'root');
  await mkdir(root);
  await writeFile(join(folder, 'keys'), `${KEY}\n`);
  result = await build('ramdisk', {
    elements: ['devuser', 'dynamic-login'],
    env: {
      DIB_DEV_USER_USERNAME: 'me',
      DIB_DEV_USER_PASSWORD: PASSWORD,
      DIB_DEV_USER_PWDLESS_SUDO: 'YES',
      DIB_DEV_USER_GROUPS: 'disk',
      DIB_DEV_USER_AUTHORIZED_KEYS: join(folder, 'keys'),
      DIB_DEV_USER_PASWORD: 'x',
    },
  });
  listing = await unpack(result, ['userland', 'elements']);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the user is there, and has what the variables say', async () => {
  expect(await readFile(join(root, 'etc/passwd'), 'utf8')).toContain('me:x:1000:1000::/home/me:/bin/sh\n');
  expect(await readFile(join(root, 'etc/group'), 'utf8')).toContain('disk:x:6:me\n');
  expect(facts('home/me/.ssh/authorized_keys')).toEqual(['-rw-------', '1000', '1000']);
  expect(facts('home/me/.ssh')).toEqual(['drwx------', '1000', '1000']);
  expect((await readFile(join(root, 'home/me/.ssh/authorized_keys'), 'utf8')).trim()).toBe(KEY);
  expect(await readFile(join(root, 'etc/pam.d/su'), 'utf8')).toContain(' use_uid user = me\n');
  expect(facts('usr/bin/su')).toEqual(['-rwsr-xr-x', '0', '0']);
});

test('the password is there as a hash that only root can read, and nowhere else', async () => {
  const shadow = await readFile(join(root, 'etc/shadow'), 'utf8');
  const [, , salt = ''] = /^me:(\$6\$[^:]+):/m.exec(shadow)?.[1]?.split('$') ?? [];
  const { stdout } = await systemRun('openssl', ['passwd', '-6', '-salt', salt, PASSWORD]);
  expect(shadow).toContain(`me:${stdout.trim()}:`);
  expect(facts('etc/shadow')).toEqual(['-rw-------', '0', '0']);
  const outputs = [JSON.stringify(result.manifest), said.join('\n'), await readFile(result.manifestFile.path, 'utf8')];
  for (const output of outputs) expect(output).not.toContain(PASSWORD);
  const { exitCode } = await systemRun('grep', ['-rqF', PASSWORD, root], { okExitCodes: [0, 1] });
  expect(exitCode).toBe(1);
});

test('a variable that is misspelt is said', () => {
  expect(said).toContain(
    'warning: the variable DIB_DEV_USER_PASWORD is of no element that goes in; did you mean DIB_DEV_USER_PASSWORD?',
  );
});

test('init starts the logins, sshd and what reads the command line', async () => {
  const inittab = await readFile(join(root, 'etc/inittab'), 'utf8');
  for (const run of ['dynamic-login', 'logins', 'sshd']) {
    expect(inittab).toContain(`:/etc/ingot/${run}\n`);
    expect((await stat(join(root, 'etc/ingot', run))).mode & 0o777).toBe(0o755);
  }
  expect(listing).not.toMatch(/ssh_host_\w+_key/);
});

test('a package whose scripts matter, and that no element covers, ends the build with its name', async () => {
  await mkdir(join(folder, 'own/tally'), { recursive: true });
  const element = {
    name: 'tally',
    summary: 's',
    packages: [{ name: 'base-passwd', reason: 'its scripts make accounts' }],
  };
  await writeFile(join(folder, 'own/tally/element.json'), JSON.stringify(element));
  await expect(build('tally', { elements: ['tally'], own: join(folder, 'own') })).rejects.toMatchObject({
    code: 'SCRIPT_NOT_COVERED',
    message: expect.stringMatching(/base-passwd\n {2}postinst: .*passwd\.master/) as string,
  });
  expect(await stat(join(folder, 'tally.initramfs')).catch(() => undefined)).toBeUndefined();
});

test('plan says afterwards that nothing is left to fetch or to pack, and explain accounts for every byte', async () => {
  const run = (...args: string[]) => systemRun(process.execPath, ['bin/build-ramdisk.mjs', ...args]);
  await build('again', { elements: [] });
  const { stdout } = await run('plan', '--arch', 'x86_64', '--compress', 'zstd:3', '--json');
  const plan = JSON.parse(stdout) as {
    downloadBytes: number;
    steps: { step: string; cached?: string; what: string[] }[];
  };
  expect(plan.downloadBytes).toBe(0);
  const packed = plan.steps.find(({ step }) => step === 'pack');
  expect(packed?.cached).toBe('5 of 5');
  expect(plan.steps.find(({ step }) => step === 'elements')?.what.join('\n')).toContain('agent: ');
  const explained = JSON.parse((await run('explain', join(folder, 'again'), '--json')).stdout) as {
    totalBytes: number;
    layers: { bytes: number }[];
  };
  const sizes = await Promise.all(['kernel', 'initramfs'].map((end) => stat(join(folder, `again.${end}`))));
  const total = sizes.reduce((sum, one) => sum + one.size, 0);
  expect(explained.totalBytes).toBe(total);
  expect(explained.layers.reduce((sum, one) => sum + one.bytes, 0)).toBe(total);
});
