import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, describe, expect, test } from 'vitest';

import { mayBeFixedVhd } from '../../../agent/image/containers.ts';
import { decideFormat } from '../../../agent/image/format.ts';
import { systemRun } from '../../../system/run.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';
import { startImageServer } from '../../fakes/image-server.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { deliver, sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const folder = mkdtempSync(join(tmpdir(), 'ingot-containers-'));
afterAll(() => rmSync(folder, { recursive: true }));
const hasQemuImg = await systemRun('qemu-img', ['--version']).then(
  () => true,
  () => false,
);
const qemuImg = (...args: string[]) => systemRun('qemu-img', args, { cwd: folder });

/** Delivers a file whose name says nothing of what it is; nothing may be written. */
async function refusal(file: Buffer, diskFormat?: string): Promise<string> {
  const disk = await makeDiskFile(24 * MIB);
  const server = await startImageServer(() => ({ content: file }));
  try {
    const info = { checksum: sha256(file), ...(diskFormat !== undefined && { disk_format: diskFormat }) };
    const error = await deliver(server.url, disk.device, info).then(
      () => new Error('it was written'),
      (reason: unknown) => reason as Error,
    );
    expect((await disk.content()).equals(disk.before)).toBe(true);
    return error.message;
  } finally {
    await server.close();
    await disk.close();
  }
}

describe.skipIf(!hasQemuImg)(
  'files made by qemu-img, by another name, are told by their content and refused before the first write',
  () => {
    writeFileSync(join(folder, 'guest.raw'), makeGuest(4 * MIB, 3));

    test.each([
      ['vmdk', 'vmdk', ['-o', 'subformat=monolithicSparse']],
      ['vmdk', 'vmdk', ['-o', 'subformat=streamOptimized']],
      ['vmdk', 'vmdk', ['-o', 'subformat=monolithicFlat']],
      ['vmdk', 'vmdk', ['-o', 'subformat=twoGbMaxExtentSparse']],
      ['vmdk', 'vmdk', ['-o', 'subformat=twoGbMaxExtentFlat']],
      ['vhd', 'vpc', ['-o', 'subformat=dynamic']],
      ['vhd (fixed size)', 'vpc', ['-o', 'subformat=fixed']],
      ['vhd (fixed size)', 'vpc', ['-o', 'subformat=fixed,force_size=on']],
      ['vhdx', 'vhdx', []],
      ['vhdx', 'vhdx', ['-o', 'subformat=fixed']],
      ['vdi', 'vdi', []],
      ['parallels', 'parallels', []],
      ['qed', 'qed', []],
      ['luks', 'luks', ['--object', 'secret,id=key,data=secret', '-o', 'key-secret=key,iter-time=10']],
    ])('%s (%s %j)', async (name, qemuName, options) => {
      const path = `image.${qemuName}`;
      await qemuImg('convert', '-f', 'raw', '-O', qemuName, ...options, 'guest.raw', path);
      const file = readFileSync(join(folder, path));
      const why = await refusal(file);
      expect(why).toContain(`format ${name} is not supported; `);
      expect(why).toMatch(name === 'luks' ? /cryptsetup open/ : new RegExp(`qemu-img convert -f ${qemuName} -O`));
      expect(why).toContain('was not touched');
      // Whatever Ironic calls it.
      expect(await refusal(file, 'raw')).toContain(name);
    });

    test('the extents of a sparse vmdk are vmdk, too; a compressed one is looked into', async () => {
      await qemuImg(
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        'subformat=twoGbMaxExtentSparse',
        'guest.raw',
        'two.vmdk',
      );
      expect(await refusal(readFileSync(join(folder, 'two-s001.vmdk')))).toContain('format vmdk is not supported');
      await qemuImg('convert', '-f', 'raw', '-O', 'vpc', 'guest.raw', 'dynamic.vhd');
      expect(await refusal(gzipSync(readFileSync(join(folder, 'dynamic.vhd'))))).toContain(
        'format vhd is not supported',
      );
    });
  },
);

const head = (bytes: number[] | string, at = 0) => {
  const buffer = Buffer.alloc(0x90_00);
  Buffer.from(bytes as string).copy(buffer, at);
  return buffer;
};

describe('what qemu-img does not make', () => {
  test.each([
    ['vmdk of ESX', head('COWD'), 'qemu-img convert -f vmdk'],
    ['newer vmdk of ESX', head([0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0]), 'qemu-img convert -f vmdk'],
    ['a descriptor with comments before', head('# made by hand\r\n\nversion=1\nCID=fffffffe\n'), 'format vmdk'],
    ['parallels, older', head('WithoutFreeSpace'), 'format parallels'],
    ['bochs', head('Bochs Virtual HD Image'), 'format bochs'],
    ['an ISO', head('CD001', 0x80_01), 'its format is raw if it is a hybrid'],
    ['a UDF disc', head('BEA01', 0x80_01), 'format iso'],
    ['an OVA', head('ustar', 257), 'an OVA has a vmdk in it'],
    ['zip', head('PK\u0003\u0004'), 'unpack it with "unzip"'],
    ['7z', head([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]), '7z x'],
    ['lz4', head([0x04, 0x22, 0x4d, 0x18]), 'unlz4'],
    ['a sparse image of Android', head([0x3a, 0xff, 0x26, 0xed]), 'simg2img'],
  ])('%s', (_, bytes, why) => {
    expect(() => decideFormat(bytes, undefined)).toThrow(why);
  });

  test('words that only look like a descriptor are raw', () => {
    expect(decideFormat(head('# just a script\necho version=1\n'), undefined)).toBe('raw');
    expect(decideFormat(head('version=12\n'), undefined)).toBe('raw');
  });
});

test('the end of a file is asked for only where its length can be that of a VHD', async () => {
  expect([20 * MIB + 512, 1024 ** 4 + 512, 41_160 * 512 + 512].map(mayBeFixedVhd)).toEqual([true, true, false]);
  expect([20 * MIB, 512, 0, 20 * MIB + 1536].map(mayBeFixedVhd)).toEqual([false, false, false, false]);
  const image = makeGuest(4 * MIB, 3);
  const disk = await makeDiskFile(8 * MIB);
  const server = await startImageServer(() => ({ content: image }));
  await deliver(server.url, disk.device, { checksum: sha256(image) });
  expect(server.requests).toHaveLength(2);
  await server.close();
  await disk.close();
});
