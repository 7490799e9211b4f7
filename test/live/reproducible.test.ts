import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES } from '../../arch/table.ts';
import { defaultCacheRoot } from '../../builder/host/cache.ts';
import { openHost } from '../../builder/host/system.ts';
import { systemRun } from '../../system/run.ts';
import { firstDifferentPath } from './first-difference.ts';

// Somebody without any rights builds all ramdisks, on a kernel that runs no foreign program, in another folder, with another umask,
// locale and time zone, and with a cache of their own: and gets the bytes that root gets.

/** No account has this number; nothing belongs to it but what this test makes. */
const PLAIN_ID = '64000';
/** Files that are expensive to get and the same for everybody, and APT's lists. Everything else is made anew. */
const DOWNLOADED = ['downloads', 'npm'];
const LISTS = 'apt';
const isRoot = process.getuid?.() === 0;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-plain-'));
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const build = (cache: string, name: string) =>
  [
    'bin/build-ramdisk.mjs',
    '--arch',
    'all',
    '--compress',
    'zstd:1',
    '--format',
    'iso,uki',
    '--cache',
    cache,
    '-o',
    name,
    '--json',
  ] as const;

const digests = async (name: string) =>
  Object.fromEntries(
    await Promise.all(
      ARCHITECTURE_NAMES.map(async (arch) => [arch, await readFile(`${name}-${arch}.sha256`, 'utf8')] as const),
    ),
  );

/** Other builds may be at work: what they have not yet got whole has another name. */
async function copyEntries(cache: string, own: string, kind: string): Promise<void> {
  const names = (await readdir(join(cache, kind))).filter((name) => /^[0-9a-f]{64}$/.test(name));
  await mkdir(join(own, kind));
  // Links where both lie on one file system.
  const linked = await systemRun('cp', ['-al', ...names, join(own, kind)], {
    cwd: join(cache, kind),
    okExitCodes: [0, 1],
  });
  if (linked.exitCode !== 0) await systemRun('cp', ['-a', ...names, join(own, kind)], { cwd: join(cache, kind) });
}

/** APT writes there: a link would lead into the other cache. */
async function copyLists(cache: string, own: string): Promise<void> {
  const { cache: shared } = await openHost({ cache });
  await mkdir(join(own, LISTS));
  const { signal } = new AbortController();
  for (const world of await readdir(join(cache, LISTS)))
    await shared.exclusively(`apt-${world}`, signal, () =>
      systemRun('cp', ['-a', join(cache, LISTS, world), join(own, LISTS)]),
    );
}

/**
 * The words that run a command as that account. The checkout may lie where it cannot go, so it sees it at `checkout`: in a mount
 * namespace, which ends with the command. A user namespace of its own has a binfmt_misc of its own (Linux 6.7 and newer), an
 * empty one; inside of a second one it is nobody special again.
 */
function asPlainAccount(checkout: string, command: readonly string[]): string[] {
  const inside = `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    test "$(cd /proc/sys/fs/binfmt_misc && echo *)" = 'register status' || exit 1
    umask 077
    exec unshare --user --map-user=${PLAIN_ID} --map-group=${PLAIN_ID} "$@"`;
  const words = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-euc', inside, 'sh', ...command];
  if (!isRoot) return words;
  const outside = `mount --bind . "$0" && cd "$0" && exec setpriv --reuid ${PLAIN_ID} --regid ${PLAIN_ID} --clear-groups "$@"`;
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-euc', outside, checkout, ...words];
}

test('a plain account without binfmt, in other surroundings, builds all ramdisks, and they are root’s to the byte', async () => {
  const cache = defaultCacheRoot();
  const [own, checkout, results] = ['cache', 'checkout', 'results'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await systemRun(process.execPath, build(cache, join(folder, 'root')));
  for (const path of [own, checkout, results]) await mkdir(path);
  for (const kind of DOWNLOADED) await copyEntries(cache, own, kind);
  await copyLists(cache, own);
  if (isRoot) {
    const plain = `${PLAIN_ID}:${PLAIN_ID}`;
    await systemRun('chown', ['-R', plain, join(own, LISTS)]);
    await systemRun('chown', [plain, own, results, ...DOWNLOADED.map((kind) => join(own, kind))]);
  }
  const node = relative('.', process.execPath);
  const program = node.startsWith('..') ? process.execPath : `./${node}`;
  const [file = '', ...args] = asPlainAccount(checkout, [program, ...build(own, join(results, 'plain'))]);
  const { stdout } = await systemRun(file, args, {
    env: { HOME: results, TMPDIR: results, LC_ALL: 'de_DE.UTF-8', TZ: 'Pacific/Chatham' },
  });
  expect(stdout.trim().split('\n')).toHaveLength(ARCHITECTURE_NAMES.length);
  // Where they differ, the first path that does says more than two sums.
  for (const arch of ARCHITECTURE_NAMES)
    expect(await firstDifferentPath(join(folder, `root-${arch}`), join(results, `plain-${arch}`))).toBeUndefined();
  // `sha256sum` format, with a line for each result; only the names differ.
  const plain = await digests(join(results, 'plain'));
  const root = await digests(join(folder, 'root'));
  for (const arch of ARCHITECTURE_NAMES) expect(plain[arch]?.replaceAll('plain-', 'root-')).toBe(root[arch]);
});
