import { execPath } from 'node:process';
import { link, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { mergedPath } from '../../../builder/debian/paths.ts';
import { unpackDeb } from '../../../builder/debian/unpack.ts';
import type { FileEntry } from '../../../builder/archive/entry.ts';
import { entryBytes } from '../../../builder/tree/bytes.ts';
import { systemRun } from '../../../system/run.ts';
import { realBuilderHost } from '../../fakes/builder-host.ts';

const signal = new AbortController().signal;

/** A real package, made by dpkg-deb: the same program that unpacks it. */
async function makeDeb(folder: string): Promise<{ path: string; sha256: string }> {
  const root = join(folder, 'package');
  for (const part of ['DEBIAN', 'lib/x', 'usr/bin', 'usr/share/doc'])
    await mkdir(join(root, part), { recursive: true });
  await writeFile(
    join(root, 'DEBIAN/control'),
    'Package: t\nVersion: 1\nArchitecture: all\nMaintainer: n <n@localhost>\nDescription: t\n',
  );
  await writeFile(join(root, 'usr/bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  await link(join(root, 'usr/bin/tool'), join(root, 'usr/bin/utensil'));
  await symlink('tool', join(root, 'usr/bin/t'));
  await writeFile(join(root, 'lib/x/data'), 'x'.repeat(100_000), { mode: 0o600 });
  const path = join(folder, 't.deb');
  await systemRun('dpkg-deb', ['--root-owner-group', '-b', root, path]);
  return {
    path,
    sha256: createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  };
}

describe('unpackDeb', () => {
  test('knows owner, mode, target and digest of everything, with /lib under /usr', async () => {
    await using host = await realBuilderHost();
    const { path, sha256 } = await makeDeb(host.cache.root);
    const entries = await unpackDeb(host, path, sha256, signal);
    const find = (name: string) => entries.find((entry) => entry.path === name);
    expect(find('usr/lib/x/data')).toMatchObject({
      type: 'file',
      mode: 0o600,
      uid: 0,
      gid: 0,
      size: 100_000,
      digest: createHash('sha256').update('x'.repeat(100_000)).digest('hex'),
    });
    expect(find('lib')).toBeUndefined();
    expect(find('usr/bin/t')).toMatchObject({ type: 'symlink', target: 'tool' });
    const pair = [find('usr/bin/tool'), find('usr/bin/utensil')];
    expect(new Set(pair.map((entry) => entry?.type))).toEqual(new Set(['file', 'hardlink']));
    const file = pair.find((entry) => entry?.type === 'file') as FileEntry;
    expect(Buffer.from(await entryBytes(file)).toString()).toBe('#!/bin/sh\n');
    expect(await unpackDeb(host, '/no/such/file', sha256, signal)).toEqual(entries); // from the cache
  });

  test('leaves nothing behind of a file that is no package', async () => {
    await using host = await realBuilderHost();
    await expect(unpackDeb(host, execPath, 'f'.repeat(64), signal)).rejects.toMatchObject({ code: 'CANNOT_UNPACK' });
    await expect(readFile(join(host.cache.root, 'unpacked-2', 'f'.repeat(64), 'index.json'))).rejects.toThrow('ENOENT');
  });
});

test('paths of packages are those of a merged /usr', () => {
  expect(['./lib/a', 'lib64/x', '/bin/sh', './usr/lib/a', 'lib', './', 'etc/a/'].map(mergedPath)).toEqual([
    'usr/lib/a',
    'usr/lib64/x',
    'usr/bin/sh',
    'usr/lib/a',
    '',
    '',
    'etc/a',
  ]);
  expect(() => mergedPath('usr/../../etc/passwd')).toThrow('leaves the root');
});
