import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { parseForward } from '../../../builder/commands/boot.ts';
import { parseSize } from '../../../builder/boot.ts';
import { systemRun } from '../../../system/run.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-boot-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const boot = (...args: string[]) =>
  systemRun(process.execPath, ['bin/build-ramdisk.mjs', 'boot', ...args, '--cache', join(folder, 'cache')], {
    okExitCodes: [0, 1, 2],
  });

/** The files of a build, as far as they are looked at before QEMU is fetched. */
async function fakeBuild(arch: string): Promise<string> {
  const name = join(folder, 'built');
  await writeFile(`${name}.manifest.json`, JSON.stringify({ arch, kernel: { version: '6.12' } }));
  await writeFile(`${name}.kernel`, '');
  await writeFile(`${name}.initramfs`, '');
  return name;
}

describe('what cannot be booted', () => {
  test.each([
    ['no name', [], /one NAME of a build is needed/],
    ['two names', ['a', 'b'], /one NAME of a build is needed/],
    ['half a port', ['a', '--forward', '9999'], /cannot use --forward 9999: HOST:GUEST is needed/],
    ['kernel parameters for an ISO', ['a', '--iso', '--append', 'x'], /cannot append kernel parameters to an ISO/],
    ['too little memory', ['a', '--memory', '64'], /cannot use --memory 64/],
  ])('%s is a mistake on the command line', async (_, args, message) => {
    const { exitCode, stderr } = await boot(...args);
    expect(stderr).toMatch(message);
    expect(exitCode).toBe(2);
  });

  test('a build that is not there is named, with what to do', async () => {
    const { exitCode, stderr } = await boot(join(folder, 'nothing'));
    expect(stderr).toMatch(/cannot boot .*nothing\.manifest\.json: ENOENT.*\n {2}try: build it first/);
    expect(exitCode).toBe(1);
  });

  test('a build for an architecture that QEMU has no row for', async () => {
    const { exitCode, stderr } = await boot(await fakeBuild('vax'));
    expect(stderr).toContain('cannot emulate a machine of architecture vax');
    expect(exitCode).toBe(2);
  });

  test('a build without an ISO has none to boot', async () => {
    const { stderr } = await boot(await fakeBuild('x86_64'), '--iso');
    expect(stderr).toMatch(/cannot boot .*built\.iso: ENOENT/);
  });

  test('a disk that is no file, because a ramdisk erases disks', async () => {
    const { exitCode, stderr } = await boot(await fakeBuild('x86_64'), '--disk', '/dev/null');
    expect(stderr).toContain('cannot use --disk /dev/null: it is no file');
    expect(exitCode).toBe(2);
  });
});

test('sizes are powers of 1024 and whole sectors', () => {
  expect(parseSize('4G')).toBe(4 * 2 ** 30);
  expect(parseSize('512MiB')).toBe(512 * 2 ** 20);
  for (const text of ['4', 'G', '4 G', 'disk.raw', '-1G', './4G']) expect(parseSize(text)).toBeUndefined();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9999 }), fc.constantFrom('K', 'M', 'G', 'T'), (count, unit) => {
      expect((parseSize(`${count}${unit.toLowerCase()}`) ?? 1) % 512).toBe(0);
      expect(parseSize(`${count}${unit}`)).toBeGreaterThanOrEqual(count * 1024);
    }),
  );
});

test('ports that do not exist are refused', () => {
  expect(parseForward('8080:80')).toEqual({ host: 8080, guest: 80 });
  for (const text of ['0:80', '80:65536', '80', 'a:b', '1:2:3']) expect(() => parseForward(text)).toThrow('--forward');
});
