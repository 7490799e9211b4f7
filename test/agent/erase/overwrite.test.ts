import { readFile } from 'node:fs/promises';

import { afterEach, describe, expect, test } from 'vitest';

import { openBlockDevice } from '../../../agent/os/block-device.ts';
import type { BlockDevice } from '../../../agent/os/door.ts';
import { journalPosition, readJournal, writeJournal } from '../../../agent/erase/journal.ts';
import { findInterrupted, overwriteDisk } from '../../../agent/erase/overwrite.ts';
import type { PerformContext } from '../../../agent/erase/perform.ts';
import { readSettings } from '../../../agent/erase/settings.ts';
import { writePass } from '../../../agent/erase/write-pass.ts';
import { verifyDisk, writeCanaries } from '../../../agent/erase/verify.ts';
import { patternAt, patternBase } from '../../../evidence/pattern.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';

const MIB = 1024 ** 2;
const SEED = 'ab'.repeat(32);
const { settings: SETTINGS } = readSettings({ uuid: 'u' }, {});
const disks: DiskFile[] = [];
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
});
async function makeDisk(sizeBytes: number): Promise<DiskFile> {
  const disk = await makeDiskFile(sizeBytes);
  disks.push(disk);
  return disk;
}
const quiet = { signal: new AbortController().signal, onPosition: async () => undefined };

describe('an overwrite', () => {
  test.each([9 * MIB, 9 * MIB + 512 * 7])('reaches every byte of %i', async (size) => {
    const { device, path } = await makeDisk(size);
    await writePass(device, { kind: 'pattern', pass: 0, seed: SEED, from: 0, to: size, ...quiet });
    await device.flush();
    const options = { expectation: 'pattern' as const, seed: SEED, share: 1, canaries: false };
    expect(await verifyDisk(device, options)).toMatchObject({ wrong: 0, all_zero: 0 });
    expect((await verifyDisk(device, { ...options, pass: 1 })).wrong).toBeGreaterThan(0);
    await writePass(device, { kind: 'zeros', pass: 1, seed: SEED, from: 0, to: size, ...quiet });
    await device.flush();
    expect((await readFile(path)).equals(Buffer.alloc(size))).toBe(true);
  });

  test('of a pattern is right to the last sector, where the note was', async () => {
    const size = 9 * MIB + 512 * 7;
    const { device } = await makeDisk(size);
    const context = {
      settings: { ...SETTINGS, agent_erase_devices_zeroize: false },
      seed: SEED,
      nonce: 'n0nce',
      canaries: false,
      signal: quiet.signal,
      progress: () => undefined,
      disk: { disk: { serial: 'S1' } },
      os: { clock: fakeClock() },
    };
    await overwriteDisk(context, device, undefined);
    const last = Buffer.alloc(512);
    await device.readBack(last, size - 512);
    expect(last.equals(patternAt(patternBase(SEED), size - 512, 512, 0))).toBe(true);
    const options = { expectation: 'pattern' as const, seed: SEED, share: 1, canaries: false };
    expect(await verifyDisk(device, options)).toMatchObject({ wrong: 0 });
  });

  test('ends between two blocks when it is told to', async () => {
    const { device } = await makeDisk(32 * MIB);
    const controller = new AbortController();
    const positions: number[] = [];
    const work = writePass(device, {
      kind: 'zeros',
      pass: 0,
      seed: SEED,
      from: 0,
      to: 32 * MIB,
      signal: controller.signal,
      onPosition: async (position) => {
        positions.push(position);
        if (position >= 8 * MIB) controller.abort(new Error('enough'));
      },
    });
    await expect(work).rejects.toThrow('enough');
    expect(Math.max(...positions)).toBeLessThan(32 * MIB);
    // Everything before the last position is done.
    const block = Buffer.alloc(Math.max(...positions));
    await device.readBack(block, 0);
    expect(block.equals(Buffer.alloc(block.length))).toBe(true);
  });

  test('goes round a bad place, and says where it is', async () => {
    const { device } = await makeDisk(12 * MIB);
    const bad = 6 * MIB + 65_536;
    const worn: BlockDevice = {
      ...device,
      write: async (buffer, position) => {
        if (position <= bad && position + buffer.length > bad) throw new Error('EIO');
        await device.write(buffer, position);
      },
    };
    const left = await writePass(worn, { kind: 'zeros', pass: 0, seed: SEED, from: 0, to: 12 * MIB, ...quiet });
    expect(left).toEqual([{ position: bad, bytes: 65_536 }]);
    const found = await verifyDisk(device, { expectation: 'zeros', seed: SEED, share: 1, canaries: false });
    expect(found.wrong).toBe(16);
    expect(found.wrong_at[0]).toEqual({ position: bad, why: 'it is not zeros' });
  });
});

describe('samples', () => {
  test('are canaries before, and a disk that keeps something else is found out at once', async () => {
    const { device } = await makeDisk(8 * MIB);
    await writeCanaries(device, SEED, 0);
    const found = await verifyDisk(device, { expectation: 'changed', seed: SEED, share: 0, canaries: true });
    expect(found).toMatchObject({ samples: 1024, wrong: 1024, canaries_sha256: found.read_sha256 });
    const deaf = { ...device, write: async () => undefined };
    await expect(writeCanaries(deaf, 'cd'.repeat(32), 0)).rejects.toThrow('does not keep what it is given');
  });
});

describe('an overwrite that was cut off', () => {
  /** Ten seconds for each look at the clock, so that a note is written after each block. */
  function contextOf(change: { iterations?: number; until?: number } = {}): PerformContext {
    const controller = new AbortController();
    let seconds = 0;
    return {
      os: { clock: { now: () => Date.UTC(2026, 0, 1), monotonic: () => (seconds += 10_000) } },
      disk: { disk: { serial: 'S1' } },
      settings: { agent_erase_devices_iterations: change.iterations ?? 1, agent_erase_devices_zeroize: true },
      seed: SEED,
      nonce: 'n0nce',
      canaries: true,
      signal: controller.signal,
      progress: (share: number) => {
        if (share >= (change.until ?? 9)) controller.abort(new Error('power cut'));
      },
    } as unknown as PerformContext;
  }
  const size = 40 * MIB;

  test('goes on where it was, and the evidence says when it stood still', async () => {
    const { device, path } = await makeDisk(size);
    await expect(overwriteDisk(contextOf({ until: 0.75 }), device, undefined)).rejects.toThrow('power cut');
    const start = await findInterrupted(contextOf(), device);
    expect(start).toMatchObject({ pass: 1, canaries: true });
    expect(start?.position).toBeGreaterThanOrEqual(12 * MIB);
    const { written, gaps } = await overwriteDisk(contextOf(), device, start);
    expect(written?.bytes).toBe(size - (start?.position ?? 0));
    expect(gaps).toMatchObject([{ position: start?.position, how: expect.stringContaining('power') as string }]);
    expect((await readFile(path)).equals(Buffer.alloc(size))).toBe(true);
    expect(await findInterrupted(contextOf(), device)).toBeUndefined();
  });

  test('begins anew when other passes are asked for: its position is in none of them', async () => {
    const { device } = await makeDisk(size);
    await expect(overwriteDisk(contextOf({ until: 0.75 }), device, undefined)).rejects.toThrow('power cut');
    expect(await findInterrupted(contextOf({ iterations: 2 }), device)).toBeUndefined();
    expect(await findInterrupted(contextOf({ iterations: 0 }), device)).toBeUndefined();
  });

  test('forgets no place that did not take a write', async () => {
    const { device } = await makeDisk(size);
    const bad = 10 * MIB;
    const worn: BlockDevice = {
      ...device,
      write: async (buffer, position) => {
        if (position <= bad && position + buffer.length > bad) throw new Error('EIO');
        await device.write(buffer, position);
      },
    };
    // One pass of zeros: no read-back of a pattern finds the place.
    await expect(overwriteDisk(contextOf({ iterations: 0, until: 0.9 }), worn, undefined)).rejects.toThrow('power cut');
    const context = contextOf({ iterations: 0 });
    const start = await findInterrupted(context, worn);
    expect(start?.position).toBeGreaterThan(0);
    expect(start?.position).toBeLessThanOrEqual(bad);
    const { written } = await overwriteDisk(context, worn, start);
    expect(written?.unwritable).toEqual([{ position: bad, bytes: 65_536 }]);
  });
});

describe('the note in the last sector', () => {
  const journal = { of: '1+1', pass: 1, position: 4 * MIB, at: '2026-01-01T00:00:00.000Z', canaries: true, gaps: [] };

  test('is read again by whoever knows the nonce, and by nobody else', async () => {
    const { device } = await makeDisk(8 * MIB);
    expect(await readJournal(device, 'n', 'S1')).toBeUndefined();
    await writeJournal(device, 'n', 'S1', journal);
    expect(await readJournal(device, 'n', 'S1')).toEqual(journal);
    // Another request, another disk: what the last owner wrote there does not count.
    expect(await readJournal(device, 'm', 'S1')).toBeUndefined();
    expect(await readJournal(device, 'n', 'S2')).toBeUndefined();
  });

  test('with any byte changed is none', async () => {
    const { device } = await makeDisk(MIB);
    await writeJournal(device, 'n', null, journal);
    const sector = Buffer.alloc(512);
    await device.readBack(sector, journalPosition(device));
    const used = sector.indexOf(0);
    expect(used).toBeLessThan(500);
    for (let at = 0; at < used - 1; at += 5) {
      const changed = Buffer.from(sector);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await device.write(changed, journalPosition(device));
      expect(await readJournal(device, 'n', null)).toBeUndefined();
    }
  });

  test('fits into a sector with all gaps that it keeps', async () => {
    const { device, path } = await makeDisk(MIB);
    const gap: [string, string, number] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 20 * 10 ** 12];
    const full = { ...journal, position: MIB, gaps: [gap, gap, gap] };
    await writeJournal(device, 'n', 'S', full);
    const again = await openBlockDevice(path, 'read');
    expect(await readJournal(again, 'n', 'S').finally(again.close)).toEqual(full);
  });
});
