import { EventEmitter } from 'node:events';
import { execPath } from 'node:process';
import { link, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { describe, expect, test } from 'vitest';

import { mergedPath } from '../../../builder/debian/paths.ts';
import { debScripts, unpackDeb } from '../../../builder/debian/unpack.ts';
import type { FileEntry } from '../../../builder/archive/entry.ts';
import { entryBytes } from '../../../builder/tree/bytes.ts';
import { type Start, systemRun, systemRunBytes, systemStart } from '../../../system/run.ts';
import { fakeBuilderHost, realBuilderHost } from '../../fakes/builder-host.ts';

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
  await writeFile(join(root, 'DEBIAN/postinst'), '#!/bin/sh -e\nldconfig\n', { mode: 0o755 });
  await writeFile(join(root, 'DEBIAN/prerm'), '#!/bin/sh\nfalse\n', { mode: 0o755 });
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

  test('keeps what a program wrote that ended before anybody read, as Node’s own pipes do not', async () => {
    await using folder = await realBuilderHost();
    const { path, sha256 } = await makeDeb(folder.cache.root);
    const tar = await systemRunBytes('dpkg-deb', ['--fsys-tarfile', path]);
    const start: Start = () => {
      const stdout = Readable.from([tar], { objectMode: false });
      const child = Object.assign(new EventEmitter(), { stdout, stderr: null, kill: () => true });
      // What child_process does when a program has ended: a stream that nobody reads is emptied.
      process.nextTick(() => {
        if (stdout.readableFlowing === null) stdout.resume();
        child.emit('close', 0);
      });
      return child as unknown as ReturnType<Start>;
    };
    await using host = await fakeBuilderHost({ start });
    expect((await unpackDeb(host, path, sha256, signal)).map((entry) => entry.path)).toContain('usr/bin/tool');
  });

  test('does not take nothing for an empty package', async () => {
    await using host = await fakeBuilderHost({ start: () => systemStart('true', []) });
    await expect(unpackDeb(host, 'x.deb', 'e'.repeat(64), signal)).rejects.toMatchObject({
      code: 'CANNOT_UNPACK',
      message: expect.stringContaining('x.deb: dpkg-deb gave nothing') as string,
    });
  });

  test('knows the scripts that a first installation runs, and no others', async () => {
    await using host = await realBuilderHost();
    const { path, sha256 } = await makeDeb(host.cache.root);
    expect(await debScripts(host, path, sha256, signal)).toEqual([
      { kind: 'postinst', interpreter: '/bin/sh -e', text: '#!/bin/sh -e\nldconfig\n' },
    ]);
    expect(await debScripts(host, '/no/such/file', sha256, signal)).toHaveLength(1); // from the cache
  });

  test('leaves nothing behind of a file that is no package', async () => {
    await using host = await realBuilderHost();
    await expect(unpackDeb(host, execPath, 'f'.repeat(64), signal)).rejects.toMatchObject({ code: 'CANNOT_UNPACK' });
    await expect(readFile(join(host.cache.root, 'unpacked-3', 'f'.repeat(64), 'index.json'))).rejects.toThrow('ENOENT');
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
