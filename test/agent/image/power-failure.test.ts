import { writeFile } from 'node:fs/promises';

import { beforeAll, describe, expect, test } from 'vitest';

import { wipeMetadata } from '../../../agent/disk/erase-metadata.ts';
import { writeImage } from '../../../agent/image/write.ts';
import { systemFilter } from '../../../system/filter.ts';
import { makeDiskFile } from '../../fakes/disk-file.ts';
import { firmwareSees, makeOldDisks, type OldDisk, type Sight } from '../../fakes/firmware.ts';
import { memorySource } from '../../fakes/memory-source.ts';
import { afterPowerFailures, rememberDisk } from '../../fakes/power-loss.ts';
import { makeGuest, seeded } from '../../fakes/qcow2.ts';
import { sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const DISK_BYTES = 6 * MIB;

/** With both tables, as an image has that begins and ends where its disk does. */
function makeImage(sizeBytes: number): Buffer {
  const image = makeGuest(sizeBytes, 12);
  image.write('EFI PART', 512);
  image.write('EFI PART', sizeBytes - 512);
  return image;
}
const [short, exact] = [makeImage(4 * MIB + 1536), makeImage(DISK_BYTES)];

let oldDisks: OldDisk[] = [];
beforeAll(async () => {
  oldDisks = await makeOldDisks(DISK_BYTES);
});

/** What firmware would see after the power failed at any moment of wiping and writing. */
async function sightsOf(old: OldDisk, image: Buffer, hex = sha256(image)): Promise<Set<Sight>> {
  const disk = await makeDiskFile(DISK_BYTES);
  await writeFile(disk.path, old.bytes);
  const { device, run, events } = rememberDisk(disk.device);
  const job = {
    source: memorySource(image),
    diskFormat: 'raw',
    checksum: { algorithm: 'sha256', hex },
    device,
  } as const;
  await writeImage({
    ...job,
    filter: systemFilter,
    wipe: () => wipeMetadata({ run }, device),
    progress: () => undefined,
    signal: new AbortController().signal,
  }).catch(() => undefined);
  await disk.close();
  const sights = new Set<Sight>();
  for (const after of afterPowerFailures(old.bytes, events, seeded(2027), 4))
    sights.add(firmwareSees(after, old, image));
  return sights;
}

describe('a power failure at any moment, with any of the sectors written that were not flushed yet', () => {
  test.each([0, 1, 2, 3])(
    'leaves all of the old system, nothing, or all of the new one (old disk %i)',
    async (index) => {
      const old = oldDisks[index] as OldDisk;
      expect(firmwareSees(old.bytes, old, short)).toBe('old system');
      for (const image of [short, exact])
        expect([...(await sightsOf(old, image))].toSorted()).toEqual(['new system', 'nothing', 'old system']);
    },
  );

  test('leaves no new system when the checksum is wrong', async () => {
    for (const old of oldDisks)
      expect([...(await sightsOf(old, exact, '0'.repeat(64)))].toSorted()).toEqual(['nothing', 'old system']);
  });
});

test('what these tests call unfinished and stranded', async () => {
  const gpt = oldDisks[1] as OldDisk;
  const lost = Buffer.from(gpt.bytes);
  lost.fill(0, 2 * MIB, 2 * MIB + 512);
  expect(firmwareSees(lost, gpt, short)).toBe('something unfinished');
  const wiped = Buffer.from(gpt.bytes);
  wiped.fill(0, 0, 8192);
  expect(firmwareSees(wiped, gpt, short)).toBe('stranded');
  const half = Buffer.from(gpt.bytes);
  short.copy(half, 0, 0, 3 * MIB);
  expect(firmwareSees(half, gpt, short)).toBe('something unfinished');
});
