import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { DebianPackage } from '../../builder/debian/resolve.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { layOutTools, resolveTools, toolSysroot } from '../../builder/sysroot.ts';
import { createProgress } from '../../cli/progress.ts';
import { systemRun } from '../../system/run.ts';
import { startMirror } from './mirror.ts';

// APT, its signatures and the real mirror's lists are real here; the mirror between them is not to be trusted. What is built is a
// tool tree: the same way from a mirror into the cache as that of a ramdisk's packages.

const progress = createProgress('silent', process.stderr);
const signal = new AbortController().signal;
const PACKAGES = ['kmod', 'zstd'];

let folder: string;
let known: DebianPackage[];
let mirror: Awaited<ReturnType<typeof startMirror>>;
let count = 0;

/** A builder with an empty cache that asks the mirror on loopback. */
async function stranger(): Promise<{ host: BuilderHost; build: () => Promise<string> }> {
  const host = await openHost({ cache: join(folder, `cache-${(count += 1)}`) });
  const options = { host, packages: PACKAGES, mirror: [mirror.url], progress, signal };
  return { host, build: () => toolSysroot(options) };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-mirror-'));
  const host = await openHost();
  known = await resolveTools({ host, packages: PACKAGES, progress, signal });
  await layOutTools({ host, progress, signal }, known);
  mirror = await startMirror(host, known);
});

afterAll(async () => {
  mirror.close();
  await rm(folder, { recursive: true, force: true });
});

test('a mirror that goes away in the middle: what is missing is named, and a second run fetches only that', async () => {
  const { host, build } = await stranger();
  let given = 0;
  mirror.behave((path) => (path.startsWith('/pool/') && (given += 1) > 4 ? 'die' : undefined));
  const failure: unknown = await build().catch((error: unknown) => error);
  const fetched = await readdir(host.cache.path('downloads', ''));
  const missing = known.length - fetched.length;
  expect(failure).toMatchObject({
    code: 'DOWNLOAD_FAILED',
    message: expect.stringMatching(
      new RegExp(
        `^cannot download ${mirror.url}/pool/.*\n${missing} of ${known.length} packages are missing: .*\\.deb`,
      ),
    ) as string,
    hint: expect.stringContaining('what was fetched is kept') as string,
  });
  expect(fetched.length).toBeGreaterThan(0);
  expect(fetched.filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([]);

  mirror.behave(() => undefined);
  mirror.takeAsked();
  const { stdout } = await systemRun('ls', [join(await build(), 'usr/bin/zstd')]);
  expect(stdout).toContain('zstd');
  expect(mirror.takeAsked()).toHaveLength(missing);
});

test('a package with another byte in it is refused, and is not kept', async () => {
  const { host, build } = await stranger();
  const [victim = ''] = known.filter((one) => one.name === 'kmod').map((one) => one.sha256);
  mirror.behave((path) =>
    path.includes('/kmod_') ? (body) => Buffer.concat([body.subarray(1), Buffer.alloc(1)]) : undefined,
  );
  await expect(build()).rejects.toMatchObject({
    code: 'WRONG_DIGEST',
    message: expect.stringMatching(
      new RegExp(`kmod_.*SHA-256 [0-9a-f]{64}, the signed package list says .*${victim}`),
    ) as string,
  });
  expect(await readdir(host.cache.path('downloads', ''))).not.toContain(victim);
  expect(await readdir(host.cache.path('sysroots', '')).catch(() => [])).toEqual([]);
});

describe('lists that were tampered with', () => {
  test.each([
    ['a changed InRelease', /\/InRelease$/, (text: string) => text.replace(/^Suite: .*$/m, 'Suite: evil')],
    [
      'an InRelease without its signature',
      /\/InRelease$/,
      (text: string) => text.replace(/-----BEGIN PGP SIGNATURE-----[^]*$/, ''),
    ],
  ])('%s is not trusted', async (_, which, change) => {
    const { host, build } = await stranger();
    mirror.takeAsked();
    mirror.behave((path) =>
      which.test(path) ? (body) => Buffer.from(change(body.toString('latin1')), 'latin1') : undefined,
    );
    await expect(build()).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
      message: expect.stringContaining(`cannot trust the package lists of ${mirror.url}`) as string,
    });
    expect(mirror.takeAsked()).toEqual([]);
    expect(await readdir(host.cache.path('downloads', '')).catch(() => [])).toEqual([]);
  });

  test('a list of packages that is not the signed one is refused', async () => {
    const { build } = await stranger();
    mirror.takeAsked();
    mirror.behave((path) =>
      /\/Packages\.(xz|gz)$|\/by-hash\//.test(path) ? (body) => body.subarray(0, body.length - 100) : undefined,
    );
    await expect(build()).rejects.toMatchObject({ code: 'MIRROR_UNREACHABLE' });
    expect(mirror.takeAsked()).toEqual([]);
  });
});
