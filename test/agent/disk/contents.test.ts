import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readContents } from '../../../agent/disk/contents.ts';
import type { BlockDevice } from '../../../agent/os/door.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';

const MIB = 1024 ** 2;
type Recorded = { name: string; madeBy: string; sizeBytes: number; blocks: Record<string, string> };
const RECORDED = JSON.parse(readFileSync('test/fixtures/signatures/recorded.json', 'utf8')) as Recorded[];

type Pieces = readonly { at: number; bytes: Uint8Array }[];

/** A fake: a device that is zeros but for some pieces. It refuses, as the kernel does, what is not whole sectors within it. */
function sparseDevice(sizeBytes: number, pieces: Pieces, sectorBytes = 512): BlockDevice {
  const read = async (buffer: Uint8Array, position: number) => {
    if (position % sectorBytes !== 0 || buffer.length % sectorBytes !== 0 || position + buffer.length > sizeBytes)
      throw new Error(`cannot read ${buffer.length} bytes at ${position} of ${sizeBytes}`);
    buffer.fill(0);
    for (const { at, bytes } of pieces)
      for (const [index, byte] of bytes.entries()) {
        const place = at + index - position;
        if (place >= 0 && place < buffer.length) buffer[place] = byte;
      }
  };
  const never = () => Promise.reject(new Error('nothing is written here'));
  return {
    path: '/dev/x',
    sizeBytes,
    sectorBytes,
    read,
    write: never,
    zero: never,
    flush: never,
    close: never,
  } as never;
}

const namesOn = async (sizeBytes: number, pieces: Pieces, sectorBytes?: number) =>
  (await readContents(sparseDevice(sizeBytes, pieces, sectorBytes))).map(({ name }) => name);
const text = (at: number, letters: string) => ({ at, bytes: Buffer.from(letters, 'latin1') });
const hex = (at: number, digits: string) => ({ at, bytes: Buffer.from(digits, 'hex') });

describe('what is on a device', () => {
  test.each(RECORDED)('is recognised where it was made by $madeBy', async ({ name, sizeBytes, blocks }) => {
    const pieces = Object.entries(blocks).map(([at, packed]) => ({
      at: Number(at),
      bytes: gunzipSync(Buffer.from(packed, 'base64')),
    }));
    expect(await namesOn(sizeBytes, pieces)).toEqual([name]);
    expect(await namesOn(sizeBytes, pieces, 4096)).toEqual([name]);
  });

  // Written after the documents that contents.ts names: no program that makes these was at hand.
  test.each([
    ['VMFS volume', [hex(MIB, '0dd001c0')]],
    ['VMFS', [hex(2 * MIB, '5ef1ab2f')]],
    ['LVM physical volume', [text(512, 'LABELONE')]],
    ['LVM physical volume', [text(1536, 'LABELONE')]],
    ['Ceph BlueStore', [text(0, 'bluestore block device\n')]],
    ['Oracle ASM', [text(32, 'ORCLDISK')]],
    ['ZFS', [hex(128 * 1024 + 7 * 1024, '0cb1ba0000000000')]],
    ['ZFS', [hex(384 * 1024, '0000000000bab10c')]],
    // The last label alone, as on a disk whose beginning was overwritten; ZFS aligns it to 256 KiB.
    ['ZFS', [hex(64 * MIB - 256 * 1024 + 130 * 1024, '0cb1ba0000000000')]],
    // LUKS2's second header alone.
    ['LUKS', [hex(16_384, '534b554cbabe')]],
  ])('is recognised as %s where its documents say', async (name, pieces) => {
    expect(await namesOn(64 * MIB, pieces)).toEqual([name]);
    expect(await namesOn(64 * MIB + 100 * 1024, pieces, 4096)).toEqual([name]);
  });

  test('is all named where there is more than one thing', async () => {
    expect(await namesOn(64 * MIB, [text(1024, 'OCFSV2'), hex(0, '4c554b53babe')])).toEqual(['OCFS2', 'LUKS']);
  });

  test('is nothing where the bytes are elsewhere, or are data', async () => {
    expect(
      await namesOn(64 * MIB, [text(3000, 'LABELONE'), text(8 * MIB, 'OCFSV2'), hex(MIB + 1, '0dd001c0')]),
    ).toEqual([]);
    const dirty = await makeDiskFile(8 * MIB);
    expect(await readContents(dirty.device)).toEqual([]);
    await dirty.close();
  });

  test('can be looked for on a device of any size, with any sector', async () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 2000 }));
    await fc.assert(
      fc.asyncProperty(size, fc.constantFrom(512, 4096), async (sectors, sectorBytes) => {
        expect(await namesOn(sectors * sectorBytes, [], sectorBytes)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
