import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { compareText, explainText } from '../../builder/explain-text.ts';
import { compare, explain, type Explained, readExplained } from '../../builder/explain.ts';
import { systemRun } from '../../system/run.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

type Row = Explained['usage']['rows'][number];
const row = (layer: string, element: string, source: string, bytes: number): Row => ({
  layer,
  element,
  source,
  files: 1,
  unpackedBytes: 2 * bytes,
  bytes,
});

function built(rows: Row[], packages: Explained['packages'] = []): Explained {
  const total = rows.reduce((sum, one) => sum + one.bytes, 0);
  const kernel = rows.filter((one) => one.layer === 'kernel image').reduce((sum, one) => sum + one.bytes, 0);
  return {
    arch: 'x86_64',
    release: 'trixie',
    kernel: { version: '6.12', bytes: kernel },
    initramfs: { bytes: total - kernel },
    packages,
    usage: { total, rows },
  };
}

const BEFORE = built(
  [
    row('kernel image', 'kernel', 'linux', 12_000_000),
    row('node', 'agent', 'node', 30_000_000),
    row('userland', 'base', 'libc6', 1_500_000),
    row('userland', 'base', 'busybox', 500_000),
  ],
  [
    { name: 'libc6', version: '2.41-12', reason: 'everything else needs it' },
    { name: 'busybox', version: '1.37' },
  ],
);
const AFTER = built(
  [
    row('kernel image', 'kernel', 'linux', 12_000_000),
    row('node', 'agent', 'node', 20_000_000),
    row('userland', 'base', 'libc6', 1_600_000),
    row('userland', 'tools', 'gdisk', 300_000),
  ],
  [
    { name: 'libc6', version: '2.41-13' },
    { name: 'gdisk', version: '1' },
  ],
);

describe('where the bytes of a build go', () => {
  test('every view accounts for all of them', () => {
    const word = fc.constantFrom('a', 'b', 'c', 'd');
    const rows = fc.array(fc.tuple(word, word, word, fc.nat(1e9)), { maxLength: 30 });
    fc.assert(
      fc.property(rows, (tuples) => {
        const one = built(tuples.map(([layer, element, source, bytes]) => row(layer, element, source, bytes)));
        for (const view of Object.values(explain(one)))
          expect(view.reduce((sum, share) => sum + share.bytes, 0)).toBe(one.usage.total);
      }),
    );
  });

  test('as text, the largest first, the rest in one line', () => {
    expect(
      explainText(BEFORE, 2)
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual([
      'x86_64, trixie, Linux 6.12: 44.0 MB (44000000 bytes), kernel 12.0 MB, initramfs 32.0 MB',
      'compressed, share, and unpacked in how many files',
      'by layer',
      '30.0 MB   68.2%    60.0 MB in     1  node',
      '12.0 MB   27.3%    24.0 MB in     1  kernel image',
      '2.0 MB    4.5%     4.0 MB in     2  1 more',
      'by element',
      '30.0 MB   68.2%    60.0 MB in     1  agent',
      '12.0 MB   27.3%    24.0 MB in     1  kernel',
      '2.0 MB    4.5%     4.0 MB in     2  1 more',
      'by package or group of files',
      '30.0 MB   68.2%    60.0 MB in     1  agent: node',
      '12.0 MB   27.3%    24.0 MB in     1  kernel: linux',
      '2.0 MB    4.5%     4.0 MB in     2  2 more',
      '',
    ]);
    expect(explainText(BEFORE, 9)).toContain('base: libc6 (everything else needs it)');
  });
});

describe('what changed between two builds', () => {
  test('adds up to the difference of their sizes', () => {
    const { layers, elements, sources } = compare(BEFORE, AFTER);
    for (const changes of [layers, elements, sources])
      expect(changes.reduce((sum, one) => sum + one.after - one.before, 0)).toBe(
        AFTER.usage.total - BEFORE.usage.total,
      );
  });

  test('as text', () => {
    expect(
      compareText(BEFORE, AFTER, 20)
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual([
      '44.0 MB before, 33.9 MB now: -10.1 MB (-10100000 bytes)',
      'by layer',
      '-10.0 MB  node',
      '-100.0 kB  userland',
      'by element',
      '-10.0 MB  agent',
      '-400.0 kB  base',
      '+300.0 kB  tools (new)',
      'by package or group of files',
      '-10.0 MB  agent: node',
      '-500.0 kB  base: busybox (gone)',
      '+300.0 kB  tools: gdisk (new)',
      '+100.0 kB  base: libc6',
      'packages',
      'busybox 1.37 (gone)',
      'gdisk (new) 1',
      'libc6 2.41-12 -> 2.41-13',
      '',
    ]);
    expect(compareText(BEFORE, BEFORE, 20)).toBe('no difference: 44.0 MB\n');
  });
});

describe('the command', { timeout: 60_000 }, () => {
  const run = (...args: string[]) =>
    systemRun(process.execPath, ['bin/build-ramdisk.mjs', 'explain', ...args], { okExitCodes: [0, 1, 2] });

  test('reads manifests by either name', async () => {
    await using host = await fakeBuilderHost();
    const [one, two] = ['one', 'two'].map((name) => join(host.cache.root, name)) as [string, string];
    await writeFile(`${one}.manifest.json`, JSON.stringify(BEFORE));
    await writeFile(`${two}.manifest.json`, JSON.stringify(AFTER));
    expect((await run(one, '--top', '1')).stdout).toBe(explainText(BEFORE, 1));
    expect((await run(one, `${two}.manifest.json`)).stdout).toBe(compareText(BEFORE, AFTER, 20));
    expect(JSON.parse((await run(one, '--json')).stdout)).toMatchObject({
      totalBytes: 44_000_000,
      layers: [{ name: 'node' }, {}, {}],
    });
    expect(JSON.parse((await run(one, two, '--json')).stdout)).toMatchObject({ afterBytes: 33_900_000 });
  });

  test('refuses a manifest that does not account for everything, and what is none', async () => {
    await using host = await fakeBuilderHost();
    const path = join(host.cache.root, 'x.json');
    const failure = async (text: string) => {
      await writeFile(path, text);
      return readExplained(path);
    };
    await expect(failure(JSON.stringify({ ...BEFORE, initramfs: { bytes: 32_000_001 } }))).rejects.toThrow(
      `${path}: its rows have 44000000 bytes, kernel and initramfs 44000001`,
    );
    await expect(failure('{"arch":"x86_64"}')).rejects.toMatchObject({ code: 'NOTHING_TO_EXPLAIN' });
    await expect(failure('no JSON')).rejects.toMatchObject({ code: 'NOTHING_TO_EXPLAIN' });
    expect(await run(join(host.cache.root, 'none'))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('cannot explain') as string,
    });
    expect(await run()).toMatchObject({ exitCode: 2 });
    expect(await run('a', 'b', 'c')).toMatchObject({ exitCode: 2 });
  });
});
