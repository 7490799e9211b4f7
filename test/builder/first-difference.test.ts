import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import type { Entry } from '../../builder/archive/entry.ts';
import { plainArchive } from '../../builder/layers.ts';
import { fileEntry } from '../../builder/tree/tree.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';
import { firstDifference, firstDifferentPath } from '../live/first-difference.ts';

const archive = async (...entries: Entry[]) => Buffer.from(await plainArchive(entries));
const TREE = [fileEntry('a', 'one'), fileEntry('b', 'two')];

describe('two builds that differ', () => {
  test.each([
    [[fileEntry('a', 'one'), fileEntry('b', 'twO')], '/b: its byte 2'],
    [[fileEntry('a', 'one'), fileEntry('b', 'two', 0o755)], '/b: mode, owner, time, size or place'],
    [[fileEntry('a', 'one')], '/b in one, /TRAILER!!! in the other'],
    [[fileEntry('a', 'one'), fileEntry('aa', ''), fileEntry('b', 'two')], '/b in one, /aa in the other'],
  ])('%#: the first path is named: %s', async (other, said) => {
    expect(firstDifference(await archive(...TREE), await archive(...other))).toContain(said);
  });

  test('are told from two that do not', async () => {
    expect(firstDifference(await archive(...TREE), await archive(...TREE))).toBeUndefined();
  });

  test('name the layer as well', async () => {
    await using host = await fakeBuilderHost();
    const write = async (name: string, second: Entry[]) => {
      const parts = [await archive(fileEntry('front', '')), zstdCompressSync(await archive(...second))];
      const path = join(host.cache.root, name);
      await writeFile(`${path}.initramfs`, Buffer.concat(parts));
      const layers = parts.map((part, index) => ({ name: `l${index}`, bytes: part.length }));
      await writeFile(`${path}.manifest.json`, JSON.stringify({ initramfs: { layers } }));
      return path;
    };
    const [one, other] = [await write('one', TREE), await write('other', [fileEntry('a', 'onE')])];
    expect(await firstDifferentPath(one, other)).toBe('layer l1: /a: its byte 2');
    expect(await firstDifferentPath(one, one)).toBeUndefined();
  });
});
