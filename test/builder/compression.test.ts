import { readFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { checkUnpacks, parseCompression } from '../../builder/compression.ts';
import { packLayers } from '../../builder/initramfs.ts';
import { fileEntry, mergeParts } from '../../builder/tree/tree.ts';
import { createProgress } from '../../cli/progress.ts';
import { systemRun } from '../../system/run.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const signal = new AbortController().signal;
const silent = createProgress('silent', { write: () => true });
/** With an empty root, the programs of a tool tree are those of this machine. */
const HOST_TOOLS = '';

const TREE = mergeParts(
  [
    {
      owner: { element: 'e', source: 's', layer: 'userland' },
      entries: [fileEntry('usr/bin/x', 'words and words '.repeat(100_000), 0o755)],
      overrides: false,
    },
  ],
  () => false,
);

describe('--compress', () => {
  test.each([
    ['zstd:3', 'zstd -dc', '28b52ffd'],
    ['gzip', 'gzip -dc', '1f8b0800000000'], // no name, no time
    ['xz', 'xz -dc', 'fd377a585a000001'], // the last byte is the check: CRC32
    ['none', 'cat', '303730373031'],
  ])('%s makes members that its own program unpacks, the same ones every time', async (name, unpack, head) => {
    const pack = async () => {
      await using host = await fakeBuilderHost();
      const packing = { compression: parseCompression(name), tools: HOST_TOOLS };
      const [layer] = await packLayers(host, TREE, packing, silent, signal);
      const [again] = await packLayers(host, TREE, packing, silent, signal);
      expect([layer?.cached, again?.cached]).toEqual([false, true]);
      const { stdout } = await systemRun('sh', ['-c', `${unpack} <"$1" | cpio -t --quiet`, 'sh', layer?.file ?? '']);
      expect(stdout).toBe('usr\nusr/bin\nusr/bin/x\n');
      const bytes = await readFile(layer?.file ?? '');
      expect(bytes.byteLength).toBe(layer?.bytes);
      return bytes.toString('hex');
    };
    const first = await pack();
    expect(first.slice(0, head.length)).toBe(head);
    expect(await pack()).toBe(first);
  });

  test('a layer that was packed one way is not taken for another', async () => {
    await using host = await fakeBuilderHost();
    const pack = async (name: string) =>
      (await packLayers(host, TREE, { compression: parseCompression(name), tools: HOST_TOOLS }, silent, signal))[0]
        ?.file;
    expect(new Set(await Promise.all(['zstd:1', 'zstd:3', 'gzip', 'none'].map(pack))).size).toBe(4);
  });

  test('a program that is not there is a failure, not an empty member', async () => {
    await using host = await fakeBuilderHost();
    const packing = { compression: parseCompression('xz'), tools: '/no/such/tree' };
    await expect(packLayers(host, TREE, packing, silent, signal)).rejects.toThrow(/ENOENT/);
  });

  test.each(['zip', 'zstd:0', 'zstd:23', 'zstd:', 'gzip:3', ''])('%j is refused', (text) => {
    expect(() => parseCompression(text)).toThrow(
      expect.objectContaining({ exitCode: 2, hint: expect.stringContaining('one of zstd') as string }) as Error,
    );
  });
});

describe('a kernel that cannot unpack the compression', () => {
  const CONFIGURATION = 'CONFIG_RD_GZIP=y\n# CONFIG_RD_XZ is not set\nCONFIG_RD_ZSTD=m\n';
  test('is refused, with those that it can unpack', () => {
    for (const name of ['zstd', 'xz'])
      expect(() => checkUnpacks(parseCompression(name), CONFIGURATION, '5.10')).toThrow(
        expect.objectContaining({
          code: 'CANNOT_PACK',
          message: expect.stringMatching(/^cannot pack the ramdisk: Linux 5\.10 cannot unpack .*CONFIG_RD_/) as string,
          hint: '--compress gzip, or --compress none',
        }) as Error,
      );
  });
  test('is told from one that can, and from one that nothing is known of', () => {
    expect(checkUnpacks(parseCompression('gzip'), CONFIGURATION, '5.10')).toBe(true);
    expect(checkUnpacks(parseCompression('none'), undefined, '5.10')).toBe(true);
    expect(checkUnpacks(parseCompression('gzip'), undefined, '5.10')).toBe(false);
  });
});
