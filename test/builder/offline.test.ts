import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';

import { describe, expect, test } from 'vitest';

import { resolvePackages } from '../../builder/debian/resolve.ts';
import { downloadAll } from '../../builder/host/download.ts';
import { openHost } from '../../builder/host/system.ts';
import { systemRun } from '../../system/run.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const signal = new AbortController().signal;
const options = { signal, onBytes: () => undefined };
const digest = (text: string) => createHash('sha256').update(text).digest('hex');

describe('without the network', () => {
  test('all that is missing is named at once, and nothing is fetched', async () => {
    await using host = await fakeBuilderHost({ offline: true });
    await host.cache.file('downloads', digest('there'), (file) => writeFile(file, 'there'));
    const item = (name: string) => ({ url: `http://m.example/pool/${name}`, sha256: digest(name), sizeBytes: 5 });
    const items = [item('there'), item('a_1_all.deb'), item('b_2_all.deb')];
    await expect(downloadAll(host, items, options)).rejects.toMatchObject({
      code: 'OFFLINE',
      message: 'cannot build without the network: 2 packages are not in the cache:\n  a_1_all.deb\n  b_2_all.deb',
    });
    expect(await downloadAll(host, items.slice(0, 1), options)).toEqual([
      host.cache.path('downloads', digest('there')),
    ]);
  });

  test('a mirror in a folder is no network', async () => {
    await using folder = await fakeBuilderHost();
    const path = join(folder.cache.root, 'x.deb');
    await writeFile(path, 'bytes');
    const host = await openHost({ cache: folder.cache.root, offline: true });
    const item = { url: pathToFileURL(path).href, sha256: digest('bytes'), sizeBytes: 5 };
    expect(await downloadAll(host, [item], options)).toHaveLength(1);
    await expect(async () => {
      for await (const _ of host.fetchBytes('http://m.example/x', signal)) throw new Error('it was fetched');
    }).rejects.toMatchObject({ code: 'OFFLINE' });
  });

  test('APT answers from the lists of the last time, and says when there are none', async () => {
    const asked: string[] = [];
    const run: typeof systemRun = (file, args) => {
      asked.push([file, ...args].join(' '));
      return Promise.resolve({ stdout: '', stderr: '', exitCode: 0 });
    };
    await using online = await fakeBuilderHost({ run });
    const host = { ...online, offline: true };
    const mirror = { main: 'http://m.example/debian', security: undefined };
    const question = { mirror, release: 'trixie', architecture: 'amd64', packages: ['busybox'] };
    await expect(resolvePackages(host, question, signal)).rejects.toMatchObject({
      code: 'OFFLINE',
      message: expect.stringContaining('no package lists of http://m.example/debian for trixie') as string,
    });
    await resolvePackages(online, question, signal);
    const before = asked.length;
    await resolvePackages(host, question, signal);
    expect(asked.slice(0, before).some((words) => words.includes(' update'))).toBe(true);
    expect(asked.slice(before).some((words) => words.includes(' update'))).toBe(false);
    expect(asked.at(-1)).toContain('install');
  });
});
