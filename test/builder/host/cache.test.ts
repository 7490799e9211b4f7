import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, test } from 'vitest';

import { defaultCacheRoot, openCache } from '../../../builder/host/cache.ts';
import { downloadAll, inParallel } from '../../../builder/host/download.ts';
import { hostFailure } from '../../../builder/host/failures.ts';
import { fakeBuilderHost } from '../../fakes/builder-host.ts';
import { createHash } from 'node:crypto';

const signal = new AbortController().signal;

describe('the cache', () => {
  test('makes an entry once, however many ask for it', async () => {
    await using host = await fakeBuilderHost();
    let made = 0;
    const ask = () =>
      host.cache.directory('things', 'one', async (folder) => {
        await sleep(5);
        await writeFile(join(folder, 'x'), String((made += 1)));
      });
    const paths = await Promise.all([ask(), ask(), ask()]);
    expect(new Set(paths).size).toBe(1);
    expect(await readdir(join(host.cache.root, 'things'))).toEqual(['one']);
    expect(await readdir(await ask())).toEqual(['x']);
    expect(made).toBeLessThanOrEqual(3);
  });

  test('keeps nothing of an entry that failed', async () => {
    await using host = await fakeBuilderHost();
    const fails = host.cache.directory('things', 'one', async (folder) => {
      await writeFile(join(folder, 'half'), '');
      throw Object.assign(new Error('write'), { code: 'ENOSPC' });
    });
    await expect(fails).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await readdir(join(host.cache.root, 'things'))).toEqual([]);
  });

  test('lets one at a time into the same work, and forgets an owner that died', async () => {
    await using host = await fakeBuilderHost();
    await writeFile(host.cache.path('locks', 'apt'), '999999999'); // no process has this number
    let inside = 0;
    const most: number[] = [];
    const work = async () => {
      most.push((inside += 1));
      await sleep(10);
      inside -= 1;
    };
    await Promise.all([1, 2, 3].map(() => host.cache.exclusively('apt', signal, work)));
    expect(most).toEqual([1, 1, 1]);
    expect(await readdir(join(host.cache.root, 'locks'))).toEqual([]);
  });

  test('says which folder cannot be used', async () => {
    await using host = await fakeBuilderHost();
    await writeFile(join(host.cache.root, 'file'), '');
    await expect(openCache(join(host.cache.root, 'file'))).rejects.toMatchObject({ code: 'CACHE_UNWRITABLE' });
  });

  test('lets one at a time into the same work also when many see the same dead owner, or a lock that was never written whole', async () => {
    await using host = await fakeBuilderHost();
    let inside = 0;
    const work = async () => {
      inside += 1;
      const seen = inside;
      await sleep(1);
      inside -= 1;
      return seen;
    };
    for (const round of Array.from({ length: 10 }, (_, index) => `lock${index}`)) {
      await writeFile(host.cache.path('locks', round), round.endsWith('7') ? '' : '999999999');
      const all = Array.from({ length: 4 }, () => host.cache.exclusively(round, signal, work));
      expect(await Promise.all(all)).toEqual([1, 1, 1, 1]);
    }
    expect(await readdir(join(host.cache.root, 'locks'))).toEqual([]);
  }, 30_000);

  test('lies where XDG says', () => {
    expect(defaultCacheRoot({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/ingot');
    expect(defaultCacheRoot({ HOME: '/h' })).toBe('/h/.cache/ingot');
  });
});

describe('downloads', () => {
  const good = Buffer.from('good bytes');
  const item = {
    url: 'http://m.example/x.deb',
    sha256: createHash('sha256').update(good).digest('hex'),
    sizeBytes: good.length,
  };
  /** Answers each request with the next of these; a string is a failure. */
  const answering = (...answers: (Buffer | string)[]) => {
    let asked = 0;
    return fakeBuilderHost({
      fetchBytes: async function* () {
        const answer = answers[Math.min(asked++, answers.length - 1)] ?? '';
        yield await Promise.resolve(typeof answer === 'string' ? Buffer.from('go') : answer.subarray(0, 4));
        if (typeof answer === 'string') throw hostFailure('DOWNLOAD_FAILED', answer);
        yield answer.subarray(4);
      },
    });
  };

  test('are checked, kept, and not fetched again', async () => {
    await using host = await answering(good, 'the second time');
    const seen: number[] = [];
    const run = () => downloadAll(host, [item], { signal, onBytes: (bytes) => seen.push(bytes) });
    const [path = ''] = await run();
    expect(await readFile(path)).toEqual(good);
    expect(await run()).toEqual([path]);
    expect(seen).toEqual([4, 10, 10]);
  });

  test('are tried again after a broken connection, without counting bytes twice', async () => {
    await using host = await answering('cut', Buffer.from('bad  bytes'), good);
    const seen: number[] = [];
    await downloadAll(host, [item], { signal, onBytes: (bytes) => seen.push(bytes) });
    expect(seen.at(-1)).toBe(good.length);
    expect(Math.max(...seen)).toBe(good.length);
  });

  test('with another digest than the signed list says are refused', async () => {
    await using host = await answering(Buffer.from('evil bytes'));
    await expect(downloadAll(host, [item], { signal, onBytes: () => undefined })).rejects.toMatchObject({
      code: 'WRONG_DIGEST',
      message: expect.stringContaining(item.sha256) as string,
    });
    await mkdir(join(host.cache.root, 'downloads'), { recursive: true });
    expect(await readdir(join(host.cache.root, 'downloads'))).toEqual([]);
  });

  test('stop when one of them fails, and when they are told to', async () => {
    const begun: number[] = [];
    const work = async (n: number, stop: AbortSignal) => {
      begun.push(n);
      if (n === 1) throw new Error('first');
      await sleep(1000, undefined, { signal: stop });
    };
    await expect(inParallel([1, 2, 3, 4], 2, signal, work)).rejects.toThrow('first');
    expect(begun).toEqual([1, 2]);
    const controller = new AbortController();
    const stopped = inParallel([2], 1, controller.signal, work);
    controller.abort(new Error('Ctrl-C'));
    await expect(stopped).rejects.toThrow('Ctrl-C');
  });
});
