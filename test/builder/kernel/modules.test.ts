import { readFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { findArchitecture } from '../../../arch/table.ts';
import type { Entry } from '../../../builder/archive/entry.ts';
import { selectFirmware } from '../../../builder/kernel/firmware.ts';
import { checkKernelForm, kernelForm } from '../../../builder/kernel/image.ts';
import { isKernelPackage, moduleName, selectModules } from '../../../builder/kernel/modules.ts';
import { entryBytes } from '../../../builder/tree/bytes.ts';
import { fileEntry } from '../../../builder/tree/tree.ts';
import { elfFile } from '../../fakes/elf.ts';
import { fakeBuilderHost } from '../../fakes/builder-host.ts';

const signal = new AbortController().signal;
const ROOT = 'usr/lib/modules/6.12-test';

function module(path: string, info: string): Entry {
  return fileEntry(`${ROOT}/kernel/${path}`, elfFile({ '.modinfo': info.replaceAll(' ; ', '\0') }));
}

const KERNEL: Entry[] = [
  fileEntry('boot/vmlinuz-6.12-test', 'kernel'),
  fileEntry(`${ROOT}/modules.builtin`, 'kernel/lib/crc32.ko\n'),
  fileEntry(`${ROOT}/modules.order`, ''),
  module(
    'drivers/net/net-card.ko',
    'depends=mii,phy_lib ; firmware=net/a.bin ; firmware=net/old.bin ; softdep=pre: crc32 extra',
  ),
  module('drivers/net/mii.ko', 'depends='),
  module('drivers/phy-lib.ko', 'depends=mii'),
  module('lib/extra.ko', 'depends=absent'),
  module('drivers/other.ko', 'depends='),
];

describe('kernel modules', () => {
  test('come with all that they depend on, softly too, and with indexes for no others', async () => {
    const calls: string[][] = [];
    await using host = await fakeBuilderHost({
      run: async (_, args) => {
        calls.push([...args]);
        return Promise.resolve({ stdout: '', stderr: '', exitCode: 0 });
      },
    });
    const select = () =>
      selectModules(host, [{ entries: KERNEL, sha256: 'k' }], ['net-card', 'crc32', 'vax_disk'], '/tools/t', signal);
    const kernel = await select();
    expect(kernel.version).toBe('6.12-test');
    expect(kernel.modules.map((one) => one.name)).toEqual(['mii', 'net_card', 'phy_lib', 'extra']);
    expect(kernel.absent).toEqual(['vax_disk']);
    expect(calls).toHaveLength(1); // depmod: nothing here is compressed
    expect(calls[0]).toEqual(expect.arrayContaining(['-b', '6.12-test']));
    expect(Buffer.from(await entryBytes(kernel.image)).toString()).toBe('kernel');
    const again = await select();
    expect(again.modules).toEqual(kernel.modules);
    expect(calls).toHaveLength(1); // the second time it is in the cache
    const [first] = kernel.modules;
    if (first?.entry.content.kind !== 'slice') throw new Error('its bytes are to be in the cache');
    expect((await readFile(first.entry.content.file)).subarray(0, 4).toString('latin1')).toBe('\u007FELF');
  });

  test('come from several packages where the distribution divides its kernel, without modules.order', async () => {
    await using host = await fakeBuilderHost({
      run: () => Promise.resolve({ stdout: '', stderr: '', exitCode: 0 }),
    });
    const image = { entries: [fileEntry(`${ROOT}/vmlinuz`, 'split')], sha256: 'a' };
    const lists = { entries: [fileEntry(`${ROOT}/modules.builtin`, 'kernel/lib/crc32.ko\n')], sha256: 'b' };
    const files = { entries: [module('drivers/net/mii.ko', 'depends=')], sha256: 'c' };
    const other = { entries: [fileEntry('usr/bin/kmod', ''), fileEntry('usr/lib/modules-load.d/x.conf', '')] };
    expect([image, lists, files, other].map(isKernelPackage)).toEqual([true, true, true, false]);
    const kernel = await selectModules(host, [lists, files, image], ['mii', 'crc32', 'vax'], '/tools/t', signal);
    expect([kernel.version, kernel.absent]).toEqual(['6.12-test', ['vax']]);
    expect(kernel.modules.map((one) => one.name)).toEqual(['mii']);
    await expect(selectModules(host, [files], [], '/tools/t', signal)).rejects.toThrow('have no image');
    const twice = [image, { entries: KERNEL, sha256: 'd' }];
    await expect(selectModules(host, twice, [], '/tools/t', signal)).rejects.toThrow('have several images');
  });

  test('have one name, however their file is written', () => {
    expect(['kernel/drivers/xhci-pci.ko.xz', 'xhci_pci', 'a/xhci-pci.ko'].map(moduleName)).toEqual([
      'xhci_pci',
      'xhci_pci',
      'xhci_pci',
    ]);
  });
});

describe('kernel images', () => {
  const head = (marks: Record<number, string>) => {
    const bytes = Buffer.alloc(0x2_10);
    for (const [offset, text] of Object.entries(marks)) bytes.write(text, Number(offset), 'latin1');
    return bytes;
  };
  test.each([
    [{ 0: 'MZ', 0x2_02: 'HdrS' }, 'bzImage'],
    [{ 0: 'MZ', 0x38: 'ARM\u0064' }, 'Image'],
    [{ 0: 'MZ', 4: 'zimg' }, 'zboot'],
    [{ 0: 'MZ' }, 'pe'],
    [{ 0: '\u001F\u008B' }, 'gzip'],
    [{ 0: 'BZh9' }, undefined],
  ])('%j is %s', (marks, form) => {
    expect(kernelForm(head(marks))).toBe(form);
  });

  test('of another architecture is refused', () => {
    const row = findArchitecture('arm64');
    if (row === undefined) throw new Error('no row');
    checkKernelForm(head({ 0: 'MZ', 4: 'zimg' }), row);
    expect(() => checkKernelForm(head({ 0x2_02: 'HdrS' }), row)).toThrow(
      'is bzImage, and aarch64 starts Image or gzip or zboot',
    );
    expect(() => checkKernelForm(head({}), row)).toThrow('of an unknown form');
  });
});

describe('firmware', () => {
  const link = (path: string, target: string): Entry => ({
    path,
    mode: 0o777,
    uid: 0,
    gid: 0,
    type: 'symlink',
    target,
  });
  const packages = [
    {
      name: 'firmware-net',
      entries: [
        fileEntry('usr/lib/firmware/net/real.bin', '1'),
        link('usr/lib/firmware/net/a.bin', 'real.bin'),
        link('usr/lib/firmware/net/dangling.bin', '../gone.bin'),
        fileEntry('usr/lib/firmware/net/unasked.bin', '2'),
        fileEntry('usr/share/doc/firmware-net/copyright', '3'),
      ],
    },
    {
      name: 'firmware-many',
      entries: [fileEntry('usr/lib/firmware/many/1.bin', '4'), fileEntry('usr/lib/firmware/many/2.bin', '5')],
    },
  ];

  test('is what modules ask for, with the files behind links, and nothing else', () => {
    const chosen = selectFirmware(
      [{ firmware: ['net/a.bin', 'net/gone.bin', 'many/*.bin', 'net/dangling.bin'] }],
      packages,
    );
    expect(chosen.byPackage.map(([name, entries]) => [name, entries.map((entry) => entry.path)])).toEqual([
      ['firmware-many', ['usr/lib/firmware/many/1.bin', 'usr/lib/firmware/many/2.bin']],
      ['firmware-net', ['usr/lib/firmware/net/real.bin', 'usr/lib/firmware/net/a.bin']],
    ]);
    expect(chosen.missing).toEqual(['net/dangling.bin', 'net/gone.bin']);
  });

  test('may be compressed, as RPM distributions have it: the kernel looks for that, too', () => {
    const entries = ['net/x.bin.xz', 'net/y.bin.zst', 'many/1.bin.xz', 'many/2.bin.xz'].map((name) =>
      fileEntry(`usr/lib/firmware/${name}`, name),
    );
    const chosen = selectFirmware(
      [{ firmware: ['net/x.bin', 'net/y.bin', 'many/*.bin'] }],
      [{ name: 'linux-firmware', entries }],
    );
    expect(chosen.byPackage.map(([, list]) => list.map((entry) => entry.path).toSorted())).toEqual([
      entries.map((entry) => entry.path).toSorted(),
    ]);
    expect(chosen.missing).toEqual([]);
  });
});
