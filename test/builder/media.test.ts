import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { grubMenu, makeGrub, ON_ISO } from '../../builder/media/grub.ts';
import { isoLabel } from '../../builder/media/iso.ts';
import { parseFormats } from '../../builder/media/formats.ts';
import { type Media, mediaCommandLine } from '../../builder/media/parts.ts';
import { makeOutput } from '../../builder/output.ts';
import { Failure } from '../../system/failure.ts';
import { fakeBuilderHost } from '../fakes/builder-host.ts';

const signal = new AbortController().signal;
const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);

function mediaOf(row = rows[0], append = ''): Media {
  if (row === undefined) throw new Error('no row');
  return {
    row,
    title: "Ingot's own",
    kernelVersion: '6.12',
    kernel: { bytes: 0, pieces: () => (async function* () {})() },
    initramfs: { path: '/x', bytes: 0, sha256: 'ab'.repeat(32) },
    append,
  };
}

describe('kernel parameters on media', () => {
  test.each(rows.map((row) => [row.name, row] as const))('%s', (_, row) => {
    const line = mediaCommandLine({ row, append: ' ipa-api-url=https://h/ ' });
    expect(line).toBe(`rootfstype=ramfs console=tty0 console=${row.boot.console},115200 ipa-api-url=https://h/`);
    // A loongarch64 kernel loses its initramfs with either.
    expect(line).not.toMatch(/earlycon|\bmem=/);
    expect(isoLabel({ row })).toMatch(/^[A-Z0-9_]{1,32}$/);
  });

  test('reach the kernel through GRUB as they are', () => {
    const menu = grubMenu(mediaOf(rows[0], String.raw`a="b c" d=$e;f g'h i=\x`));
    expect(menu).toContain(String.raw` 'a=b c' 'd=$e;f' 'g'\''h' 'i=\x'` + '\n');
    expect(menu).toContain("menuentry 'Ingots own' {");
  });
});

test('GRUB finds its own ISO by a file that no other ISO has', async () => {
  await using host = await fakeBuilderHost();
  const asked: (readonly string[])[] = [];
  const run = (_: string, args: readonly string[]) => Promise.resolve(asked.push(args));
  const path = join(host.cache.root, 'grub.efi');
  for (const platform of rows[0]?.boot.grub ?? []) await makeGrub(run, platform, '/modules', mediaOf(), path);
  expect(asked.map((args) => args.slice(0, 4))).toEqual([
    ['-O', 'x86_64-efi', '-d', '/modules/usr/lib/grub/x86_64-efi'],
    ['-O', 'i386-pc-eltorito', '-d', '/modules/usr/lib/grub/i386-pc'],
  ]);
  expect(await readFile(`${path}.cfg`, 'utf8')).toBe(
    `search --no-floppy --set=root --file /ingot/${'ab'.repeat(16)}\nset prefix=($root)/${ON_ISO.grub}\n`,
  );
});

test('--format takes what there is, each once', () => {
  expect(parseFormats(['uki', 'iso', 'uki'])).toEqual(['iso', 'uki']);
  expect(parseFormats([])).toEqual([]);
  expect(() => parseFormats(['qcow2'])).toThrow(
    expect.objectContaining({ exitCode: 2, message: 'cannot use --format qcow2: it is one of iso, uki' }) as Error,
  );
});

describe('a file that a program makes', () => {
  const write = (text: string) => (_: string, file: string) => writeFile(file, text);
  test('gets its name when it is whole, and stays when nothing changed', async () => {
    await using host = await fakeBuilderHost();
    const path = join(host.cache.root, 'out/x.iso');
    expect(await makeOutput(path, write('one'), signal)).toMatchObject({ bytes: 3, unchanged: false });
    expect(await makeOutput(path, write('one'), signal)).toMatchObject({ bytes: 3, unchanged: true });
    const failing = makeOutput(path, () => Promise.reject(new Error('it broke')), signal);
    await expect(failing).rejects.toThrow('it broke');
    expect(await readFile(path, 'utf8')).toBe('one');
    expect(await readdir(join(host.cache.root, 'out'))).toEqual(['x.iso']);
  });

  test('says that the disk is full when the program says so', async () => {
    await using host = await fakeBuilderHost();
    const full = new Failure('COMMAND_FAILED', 'cannot run xorriso: it ended\nwrite: No space left on device');
    const path = join(host.cache.root, 'x.iso');
    await expect(makeOutput(path, () => Promise.reject(full), signal)).rejects.toMatchObject({ code: 'DISK_FULL' });
  });
});
