import { gzipSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { checkConfigDriveFits, unpackConfigDrive } from '../../../agent/disk/config-drive.ts';

/** The first sectors of an ISO 9660 file system. */
const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');

describe('a config drive', () => {
  test('is base64 of gzip, with line breaks or without, or the file system itself', () => {
    const packed = gzipSync(iso);
    const lines = packed.toString('base64').replaceAll(/.{76}/g, '$&\n');
    for (const content of [Buffer.from(packed.toString('base64')), Buffer.from(lines), packed, iso])
      expect(unpackConfigDrive(content).equals(iso)).toBe(true);
  });

  test.each([
    ['text', Buffer.from('{"hostname": "x"}'), 'no base64 of gzip'],
    ['base64 of text', Buffer.from(Buffer.from('hello').toString('base64')), 'no base64 of gzip'],
    ['gzip of text', gzipSync('hello'), 'neither ISO 9660 nor FAT'],
    ['more than 64 MiB', gzipSync(Buffer.alloc(65 * 1024 ** 2)), 'larger than 64 MiB'],
    ['nothing', Buffer.alloc(0), 'no base64 of gzip'],
  ])('is refused when it is %s', (_, content, why) => {
    expect(() => unpackConfigDrive(content)).toThrow(why);
  });

  test('is refused on disks with sectors of 4096 bytes, before anything is written', () => {
    expect(() => checkConfigDriveFits(4096, '/dev/sda')).toThrow('sectors of 4096 bytes');
    expect(() => checkConfigDriveFits(512, '/dev/sda')).not.toThrow();
  });
});
