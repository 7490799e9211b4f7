import { describe, expect, test } from 'vitest';

import { checkBootSectors } from '../../../agent/image/boot-sectors.ts';
import { checkPermitted, decideFormat } from '../../../agent/image/format.ts';
import { makeGuest, makeQcow2 } from '../../fakes/qcow2.ts';

const guest = makeGuest(1024 ** 2, 1);
const qcow2 = makeQcow2({ guest, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0, seed: 1 });
const head = (bytes: number[] | string, at = 0) => {
  const buffer = Buffer.alloc(0x90_00);
  Buffer.from(bytes as string).copy(buffer, at);
  return buffer;
};
const iso = head('CD001', 0x80_01);

describe('the format', () => {
  test.each([
    ['qcow2 that is qcow2', qcow2, 'qcow2', 'qcow2'],
    ['qcow2 that nobody named', qcow2, undefined, 'qcow2'],
    ['qcow2 of unknown format', qcow2, 'unknown', 'qcow2'],
    ['raw', guest, 'raw', 'raw'],
    ['raw that nobody named', guest, null, 'raw'],
    ['gpt', guest, 'gpt', 'raw'],
    ['an ISO hybrid that is to be written bit by bit', iso, 'raw', 'raw'],
  ])('%s', (_, bytes, asked, expected) => {
    expect(decideFormat(bytes, asked)).toBe(expected);
  });

  test.each([
    ['qcow2 that is said to be raw', qcow2, 'raw', 'the file is qcow2'],
    ['raw that is said to be qcow2', guest, 'qcow2', 'disk_format is qcow2'],
    ['vmdk', head('KDMV'), undefined, 'vmdk is not supported'],
    ['vmdk that is named', head('# Disk DescriptorFile'), 'vmdk', 'vmdk is not supported'],
    ['vhd', head('conectix'), 'vhd', 'vhd is not supported'],
    ['vdi', head([0x7f, 0x10, 0xda, 0xbe], 64), undefined, 'vdi is not supported'],
    ['qed', head('QED\0'), 'qed', 'qed is not supported'],
    ['luks', head([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]), undefined, 'luks is not supported'],
    ['gzip in something', head([0x1f, 0x8b, 8]), undefined, 'compressed twice (gzip in another compression)'],
    ['zstd in something', head([0x28, 0xb5, 0x2f, 0xfd]), 'raw', 'compressed twice (zstd in another compression)'],
    ['an ISO that nobody asked for', iso, undefined, 'iso is not supported'],
  ])('%s is refused by name', (_, bytes, asked, why) => {
    expect(() => decideFormat(bytes, asked)).toThrow(why);
  });
});

describe('the first sectors', () => {
  const gpt = (sectorBytes: number, at = sectorBytes) => {
    const bytes = Buffer.alloc(8192);
    bytes.writeUInt8(0xee, 450);
    bytes.writeUInt16BE(0x55_aa, 510);
    bytes.write('EFI PART', at, 'latin1');
    return bytes;
  };

  test('must be a partition table for the disk’s sectors', () => {
    expect(() => checkBootSectors(gpt(512), 512)).not.toThrow();
    expect(() => checkBootSectors(gpt(4096), 4096)).not.toThrow();
    expect(() => checkBootSectors(gpt(512), 4096)).toThrow('sectors of 512 bytes, and the disk has sectors of 4096');
    expect(() => checkBootSectors(gpt(4096), 512)).toThrow('sectors of 4096 bytes');
    expect(() => checkBootSectors(gpt(512, 2048), 512)).toThrow('announces a GPT');
    expect(() => checkBootSectors(guest.subarray(0, 8192), 4096)).not.toThrow();
  });

  test('are refused when they are a file system, zeros, or too few', () => {
    const fat = Buffer.alloc(8192, 0x41);
    fat.writeUInt16BE(0x55_aa, 510);
    expect(() => checkBootSectors(fat, 512)).toThrow('bare file system');
    expect(() => checkBootSectors(Buffer.alloc(8192), 512)).toThrow('no partition table');
    expect(() => checkBootSectors(Buffer.alloc(100), 512)).toThrow('no partition table');
  });
});

test('formats that are not permitted are refused by name; raw and gpt are the same', () => {
  expect(() => checkPermitted('raw', ['gpt'])).not.toThrow();
  expect(() => checkPermitted('qcow2', ['raw', 'gpt', 'qcow2'])).not.toThrow();
  expect(() => checkPermitted('qcow2', ['raw', 'gpt'])).toThrow(
    'format qcow2 is not among permitted_image_formats (raw, gpt)',
  );
  expect(() => checkPermitted('raw', [])).toThrow('permitted_image_formats (none)');
});
