import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import type { Entry } from '../../builder/archive/entry.ts';
import { checkElfFiles, elfMismatch } from '../../builder/check.ts';
import { parseCompression } from '../../builder/compression.ts';
import { findArchitecture } from '../../arch/table.ts';
import { initramfsFront, packLayers } from '../../builder/initramfs.ts';
import { sha256sumLines } from '../../builder/manifest.ts';
import { writeOutput, writeOutputText } from '../../builder/output.ts';
import { formatUsage } from '../../builder/report.ts';
import { fileEntry, mergeParts, type Part, type Tree } from '../../builder/tree/tree.ts';
import { createProgress } from '../../cli/progress.ts';
import { systemRun } from '../../system/run.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';
import { elfFile } from '../fakes/elf.ts';

const signal = new AbortController().signal;
const silent = createProgress('silent', { write: () => true });

function treeOf(entries: readonly Entry[], layer: Part['owner']['layer'] = 'userland'): Tree {
  return mergeParts([{ owner: { element: 'e', source: 's', layer }, entries, overrides: false }], () => false);
}

describe('results', () => {
  test('stay as they are when nothing changed, and are replaced as a whole when something did', async () => {
    await using host = await fakeBuilderHost();
    const path = join(host.cache.root, 'deep/er/NAME.kernel');
    expect(await writeOutputText(path, 'one', signal)).toMatchObject({ bytes: 3, unchanged: false });
    const before = await stat(path);
    expect(await writeOutputText(path, 'one', signal)).toMatchObject({ unchanged: true });
    expect((await stat(path)).ino).toBe(before.ino);
    expect(await writeOutputText(path, 'two', signal)).toMatchObject({ unchanged: false });
    expect(await readFile(path, 'utf8')).toBe('two');
  });

  test('a failure in the middle leaves the old file, and nothing beside it', async () => {
    await using host = await fakeBuilderHost();
    const path = join(host.cache.root, 'out/NAME');
    await writeOutputText(path, 'old', signal);
    let reads = 0;
    async function* breaks() {
      yield await Promise.resolve(Buffer.from('ne'));
      if ((reads += 1) === 2) throw new Error('disk gone');
      yield Buffer.from('w');
    }
    await expect(writeOutput(path, breaks, signal)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(join(host.cache.root, 'out'))).toEqual(['NAME']);
  });

  test('a place that cannot be written says so', async () => {
    await using host = await fakeBuilderHost();
    await writeFile(join(host.cache.root, 'file'), '');
    await expect(writeOutputText(join(host.cache.root, 'file/NAME'), 'x', signal)).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
    });
  });

  test('sums are what sha256sum reads', async () => {
    await using host = await fakeBuilderHost();
    const { sha256 } = await writeOutputText(join(host.cache.root, 'a.kernel'), 'bytes', signal);
    await writeFile(join(host.cache.root, 'a.sha256'), sha256sumLines([{ name: 'a.kernel', sha256 }]));
    const { stdout } = await systemRun('sha256sum', ['-c', 'a.sha256'], { cwd: host.cache.root });
    expect(stdout).toBe('a.kernel: OK\n');
  });

  test('the table of bytes sums the rest up', () => {
    const row = (source: string, bytes: number) => ({
      layer: 'l',
      element: 'e',
      source,
      files: 1,
      unpackedBytes: bytes * 2,
      bytes,
    });
    const text = formatUsage({ total: 1000, rows: [row('a', 600), row('b', 300), row('c', 60), row('d', 40)] }, 2);
    expect(text.split('\n').map((line) => line.trim())).toEqual([
      '0.6 kB   60.0%     1.2 kB unpacked  e: a',
      '0.3 kB   30.0%     0.6 kB unpacked  e: b',
      '0.1 kB   10.0%     0.2 kB unpacked  2 smaller ones (--verbose lists them)',
      '1.0 kB  100.0%     2.0 kB unpacked  all',
    ]);
  });
});

describe('the initramfs', () => {
  test('starts with a plain archive, not with zstd', async () => {
    const front = await initramfsFront('Ingot');
    expect(Buffer.from(front.bytes).toString('latin1', 0, 6)).toBe('070701');
    expect(front.bytes.byteLength % 512).toBe(0);
  });

  test('has the same bytes in another folder, and packs only what changed', async () => {
    const tree = treeOf([fileEntry('usr/bin/x', 'x'.repeat(10_000), 0o755), fileEntry('etc/y', 'y')]);
    const packing = { compression: parseCompression(), tools: '' };
    const pack = async (entries: Tree) => {
      await using host = await fakeBuilderHost();
      const first = await packLayers(host, entries, packing, silent, signal);
      const second = await packLayers(host, entries, packing, silent, signal);
      expect(first.map((one) => one.cached)).toEqual([false]);
      expect(second.map((one) => one.cached)).toEqual([true]);
      const [layer] = first;
      return { bytes: await readFile(layer?.file ?? ''), layer };
    };
    const here = await pack(tree);
    const there = await pack(new Map([...tree].toReversed()));
    expect(here.bytes.equals(there.bytes)).toBe(true);
    expect(here.layer?.sha256).toBe(there.layer?.sha256);
    expect(here.bytes.readUInt32LE(0)).toBe(0xfd_2f_b5_28);
    const { stdout } = await systemRun('sh', [
      '-c',
      `printf %s "$1" | base64 -d | zstd -d | cpio -t --quiet`,
      'sh',
      here.bytes.toString('base64'),
    ]);
    expect(stdout).toBe('etc\netc/y\nusr\nusr/bin\nusr/bin/x\n');
  });
});

describe('the check of programs and libraries', () => {
  const row = findArchitecture('x86_64');
  if (row === undefined) throw new Error('no row');
  /** A library folder and a program that needs `needed`. */
  const program = (needed: string, machine = 62) => {
    const dynamic = Buffer.alloc(32);
    dynamic.writeBigUInt64LE(1n, 0);
    dynamic.writeBigUInt64LE(1n, 8);
    return fileEntry('usr/bin/p', elfFile({ '.dynamic': dynamic, '.dynstr': `\0${needed}\0` }, machine), 0o755);
  };

  test('finds a library that was pruned', async () => {
    await expect(checkElfFiles(treeOf([program('libx.so.1')]), row)).rejects.toThrow('/usr/bin/p needs libx.so.1');
    await checkElfFiles(treeOf([program('libx.so.1'), fileEntry(`usr/lib/${row.multiarch}/libx.so.1`, 'x')]), row);
  });

  test.each([
    ['usr/bin/p', 0x43, 'fits'],
    ['usr/bin/p', 0x03, 'flags are 0x3, and 0x43 of 0xc7'], // the old world's
    ['usr/bin/p', 0x41, 'flags are 0x41'],
    ['usr/lib/modules/1/a.ko', 0x41, 'fits'],
    ['usr/lib/modules/1/a.ko', 0x43, 'and 0x41 of 0xc7'],
  ])('knows the ABI of a loongarch64 file: %s with flags %d', (path, flags, problem) => {
    const loong = findArchitecture('loong64');
    if (loong === undefined) throw new Error('no row');
    const identity = { bits: 64, littleEndian: true, machine: 258, flags } as const;
    expect(elfMismatch(identity, path, loong) ?? 'fits').toContain(problem);
  });

  test('finds files of other word sizes, other loaders and in any folder, but leaves firmware alone', async () => {
    const small = Buffer.alloc(64);
    small.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
    const library = { '.interp': '/lib64/ld.so.1\0' };
    await checkElfFiles(treeOf([fileEntry('usr/lib/firmware/x', small)]), row);
    await expect(checkElfFiles(treeOf([fileEntry('srv/x', small)]), row)).rejects.toThrow('/srv/x is 32-bit');
    await expect(checkElfFiles(treeOf([fileEntry('usr/bin/x', elfFile(library))]), row)).rejects.toThrow(
      'is started by /lib64/ld.so.1, not by /lib64/ld-linux-x86-64.so.2',
    );
  });

  test('finds a program of another architecture', async () => {
    await expect(checkElfFiles(treeOf([program('libx.so.1', 183)]), row)).rejects.toThrow('is for machine 183, not 62');
  });
});

test('folders are made for results', async () => {
  await using host = await fakeBuilderHost();
  await mkdir(join(host.cache.root, 'x'));
  await writeOutputText(join(host.cache.root, 'x/y/z'), '', signal);
  expect(await readdir(join(host.cache.root, 'x/y'))).toEqual(['z']);
});
