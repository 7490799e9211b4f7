import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { defaultCacheRoot } from '../../builder/host/cache.ts';
import { systemRun } from '../../system/run.ts';

// A disk that is really full: a small tmpfs in a mount namespace of its own, which goes away with the builder.

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-full-'));
  // What the builds below can be made of comes into the cache of this machine.
  await systemRun(process.execPath, ['bin/build-ramdisk.mjs', '--compress', 'zstd:3', '-o', join(folder, 'good')]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/**
 * Runs the builder where `folder/small` is a disk of some MiB.
 * @param before a shell command that puts something on the disk first
 */
async function buildOnSmallDisk(mib: number, args: readonly string[], before = 'true') {
  const script = `
    mkdir -p "$1/small" && mount -t tmpfs -o size=${mib}m tmpfs "$1/small" && cd "$1/small" && ${before} || exit 99
    root=$1; shift; cd "$OLDPWD"; "$@"; code=$?
    find "$root/small" -mindepth 1 -not -path '*/apt/*' >&1
    exit $code`;
  return systemRun(
    'unshare',
    [
      '-rm',
      'sh',
      '-c',
      script,
      'sh',
      folder,
      process.execPath,
      'bin/build-ramdisk.mjs',
      '--compress',
      'zstd:3',
      ...args,
    ],
    { okExitCodes: [0, 1] },
  );
}

const small = () => join(folder, 'small');

test('where the package lists go', async () => {
  const { stderr, exitCode } = await buildOnSmallDisk(15, ['--cache', small(), '-o', join(folder, 'x')]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /^cannot write package lists: they take .*, and .* are free: the disk is full\n {2}try: free some space, or put the cache on/m,
  );
});

test('where packages go: none of them is half there', async () => {
  // With the locks of the cache that the lists are of: other builds use them at the same time.
  const before = `ln -s ${defaultCacheRoot()}/apt ${defaultCacheRoot()}/locks .`;
  const { stdout, stderr, exitCode } = await buildOnSmallDisk(4, ['--cache', small(), '-o', join(folder, 'x')], before);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /cannot write .*\/(downloads|unpacked-\d+)\/[0-9a-f]{64}.*: the disk is full\n {2}try: free some space/,
  );
  expect(stdout).not.toMatch(/\.tmp/);
});

test('where results go: none of them is half there', async () => {
  const { stdout, stderr, exitCode } = await buildOnSmallDisk(30, ['-o', join(small(), 'ingot')]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(
    /ingot\.initramfs: the disk is full\n {2}try: free some space, or name another place with --output/,
  );
  expect(stdout).toMatch(/ingot\.kernel\n$/);
  expect(stdout.trim().split('\n')).toHaveLength(1);
});
