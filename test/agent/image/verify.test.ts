import { randomBytes } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { readVerifyLevel, SAMPLE_BYTES, type VerifyLevel } from '../../../agent/image/verify.ts';
import { type WriteImageJob, type WrittenImage, writeImage } from '../../../agent/image/write.ts';
import { systemFilter } from '../../../system/filter.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { type Lie, lyingDisk } from '../../fakes/lying-disk.ts';
import { memorySource } from '../../fakes/memory-source.ts';
import { makeGuest } from '../../fakes/qcow2.ts';
import { sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const SECTOR = 512;

/** Data in the first half, zeros in most of the second. */
const image = makeGuest(16 * MIB + 3 * SECTOR, 7);
image.set(randomBytes(8 * MIB), MIB);
image.fill(0, 9 * MIB, 15 * MIB);
const checksum = { algorithm: 'sha256', hex: sha256(image) };

let disk: DiskFile;
beforeEach(async () => {
  disk = await makeDiskFile(20 * MIB);
});
afterEach(() => disk.close());

async function write(verify: VerifyLevel | undefined, lie: Lie = (buffer) => buffer, seed?: number) {
  const job: WriteImageJob = {
    source: memorySource(image),
    diskFormat: 'raw',
    checksum,
    device: lyingDisk(disk.device, lie),
    wipe: async () => undefined,
    filter: systemFilter,
    progress: () => undefined,
    signal: new AbortController().signal,
    ...(verify && { verify }),
    ...(seed !== undefined && { verifySeed: seed }),
  };
  return writeImage(job);
}

async function failure(work: Promise<WrittenImage>): Promise<AgentError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AgentError);
  return error as AgentError;
}

/** No partition table at the beginning, nor any file system that begins there. */
async function bootsNothing(): Promise<boolean> {
  const content = await disk.content();
  return content.subarray(0, MIB).equals(Buffer.alloc(MIB));
}

describe('what is read back of a good disk', () => {
  // One place in every MiB of data and of zeros; or all between the ends.
  test.each([
    ['none', 0, 0],
    ['sample', 13 * SAMPLE_BYTES, 32 * SAMPLE_BYTES],
    ['full', image.length - 2 * MIB, image.length - 2 * MIB],
  ] as const)('%s', async (level, least, most) => {
    const { verified } = await write(level);
    expect(verified.level).toBe(level);
    expect(verified.bytes).toBeGreaterThanOrEqual(least);
    expect(verified.bytes).toBeLessThanOrEqual(most);
    expect((await disk.content()).subarray(0, image.length).equals(image)).toBe(true);
  });

  test('samples by default, and says by which seed they were chosen', async () => {
    expect((await write(undefined, undefined, 77)).verified).toMatchObject({ level: 'sample', seed: 77 });
    const drawn = [await write(undefined), await write(undefined)].map(({ verified }) => verified.seed);
    expect(drawn[0]).not.toBe(drawn[1]);
  });
});

describe('a disk that lies is caught, does not boot, and the message names the place', () => {
  const inside = (position: number, at: number) => position === at;
  const lies: { what: string; level: VerifyLevel; lie: Lie; says: RegExp }[] = [
    {
      what: 'a write that it dropped, by a sample',
      level: 'sample',
      lie: (buffer, position) => (inside(position, 5 * MIB) ? undefined : buffer),
      says: /reads back at LBA 1\d{4} to 1\d{4} \(sectors of 512 bytes\) is something else/,
    },
    {
      what: 'writes of which it kept a quarter, by samples',
      level: 'sample',
      lie: (buffer, position) => (position >= MIB && buffer.length === MIB ? buffer.subarray(0, MIB / 4) : buffer),
      says: /is something else; replace the disk/,
    },
    {
      what: 'one byte, by reading all of it',
      level: 'full',
      lie: (buffer, position) => {
        if (!inside(position, 6 * MIB)) return buffer;
        const torn = Buffer.from(buffer);
        torn.writeUInt8(torn.readUInt8(12_345) ^ 1, 12_345);
        return torn;
      },
      says: /reads back at LBA 12288 to 14335 /,
    },
    {
      what: 'the last sector before the end that is withheld, by reading all of it',
      level: 'full',
      lie: (buffer, position) => (inside(position, 15 * MIB) ? buffer.subarray(0, buffer.length - 1) : buffer),
      says: /reads back at LBA 30720 to 30722 /,
    },
    {
      what: 'the partition table itself, at every level',
      level: 'none',
      lie: (buffer, position) => (position === 0 && buffer.some((byte) => byte !== 0) ? undefined : buffer),
      says: /the partition table that was written at byte 0 is not there/,
    },
  ];
  test.each(lies)('$what', async ({ level, lie, says }) => {
    const error = await failure(write(level, lie));
    expect(error.type).toBe('ImageWriteError');
    expect(error.details).toMatch(says);
    expect(error.details).toContain(disk.path);
    expect(error.details).toContain('was cleared');
    expect(await bootsNothing()).toBe(true);
  });

  test('zeros that it did not make', async () => {
    const device = {
      ...disk.device,
      zero: async (at: number, length: number) => {
        // What it does with the ends is checked apart.
        if (at === 0 || at + length === disk.device.sizeBytes) await disk.device.zero(at, length);
      },
    };
    const error = await failure(
      writeImage({
        source: memorySource(image),
        diskFormat: 'raw',
        checksum,
        device,
        wipe: async () => undefined,
        filter: systemFilter,
        progress: () => undefined,
        signal: new AbortController().signal,
      }),
    );
    expect(error.details).toMatch(/reads back at LBA \d+ to \d+/);
    expect(await bootsNothing()).toBe(true);
  });

  test('an old partition table that stays is found before the image is written', async () => {
    let writes = 0;
    const device = {
      ...disk.device,
      zero: async () => undefined,
      write: async () => void writes++,
    };
    const error = await failure(
      writeImage({
        source: memorySource(image),
        diskFormat: 'raw',
        checksum,
        device,
        wipe: async () => undefined,
        filter: systemFilter,
        progress: () => undefined,
        signal: new AbortController().signal,
      }),
    );
    expect(error.details).toContain('still has something else there');
    expect(error.details).toContain('could not be cleared');
    expect(writes).toBe(0);
  });
});

test('levels are read from text, and what is none is refused', () => {
  expect(readVerifyLevel(undefined)).toBeUndefined();
  expect(readVerifyLevel('')).toBeUndefined();
  expect(readVerifyLevel('FULL')).toBe('full');
  expect(() => readVerifyLevel('yes')).toThrow(/only none, sample, full are known/);
});
