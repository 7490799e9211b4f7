import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemRun, systemStart } from '../../../system/run.ts';
import { makeGuest, seeded } from '../../fakes/qcow2.ts';
import { sha256 } from './delivery.ts';

const MIB = 1024 ** 2;
const IMAGE_BYTES = 6 * MIB + 1536;
const DISK_BYTES = 9 * MIB;
const DEATHS = 100;
/** Two processors: one run waits for its disk while the other computes. */
const SIDE_BY_SIDE = 2;

const image = makeGuest(IMAGE_BYTES, 11);
image.write('EFI PART', 512);
image.write('EFI PART', IMAGE_BYTES - 512);

let folder = '';
let writer = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-death-'));
  writer = join(folder, 'image-writer.mjs');
  // One file, so that a process starts in a tenth of the time.
  await build({
    entryPoints: [new URL('../../fakes/image-writer.ts', import.meta.url).pathname],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  await writeFile(join(folder, 'image'), image);
});
afterAll(() => rm(folder, { recursive: true }));

/** A disk that boots something old: MBR, GPT, backup GPT, and data that no image has. */
async function makeOldDisk(name: string): Promise<{ path: string; before: Buffer }> {
  const before = Buffer.alloc(DISK_BYTES, 'what was here before ');
  makeGuest(512, 1).copy(before);
  before.write('EFI PART', 512);
  before.write('EFI PART', DISK_BYTES - 512);
  const path = join(folder, name);
  await writeFile(path, before);
  return { path, before };
}

/** `begun`: tables of the old system are going, and nothing of the image has come. */
type Outcome = 'untouched' | 'begun' | 'boots nothing' | 'complete' | 'boots something unfinished';

async function outcome({ path, before }: { path: string; before: Buffer }): Promise<Outcome> {
  const disk = await readFile(path);
  if (disk.equals(before)) return 'untouched';
  if (disk.subarray(0, IMAGE_BYTES).equals(image)) return 'complete';
  if (disk.subarray(MIB, -MIB).equals(before.subarray(MIB, -MIB))) return 'begun';
  const isTable = disk.readUInt16BE(510) === 0x55_aa;
  const isGpt = [512, 4096].some((at) => disk.toString('latin1', at, at + 8) === 'EFI PART');
  // What firmware looks at when the first table is broken is in the last sector of the disk, wherever the image ends.
  const isBackup = disk.toString('latin1', DISK_BYTES - 512, DISK_BYTES - 504) === 'EFI PART';
  return isTable || isGpt || isBackup ? 'boots something unfinished' : 'boots nothing';
}

/** From the moment at which the writer begins to destroy; its last line, unless it was killed. */
async function runWriter(path: string, killAfterMs?: number): Promise<{ tookMs: number; last: string }> {
  const child = systemStart(process.execPath, [writer, path, join(folder, 'image'), sha256(image)]);
  const ended = once(child, 'close');
  let begin = Number.NaN;
  let last = '';
  if (!child.stdout) throw new Error('the writer has no output');
  for await (const line of createInterface(child.stdout)) {
    last = line;
    if (line !== 'wiping') continue;
    begin = performance.now();
    if (killAfterMs !== undefined) {
      await sleep(killAfterMs);
      child.kill('SIGKILL');
    }
  }
  const tookMs = performance.now() - begin;
  await ended;
  return { tookMs, last };
}

test(`a writer that is killed at any of ${DEATHS} moments never leaves a disk that boots something unfinished`, async () => {
  const whole = await makeOldDisk('whole');
  const { tookMs, last } = await runWriter(whole.path);
  expect(last).toBe('written');
  expect(await outcome(whole)).toBe('complete');
  const random = seeded(2026);
  const outcomes: Outcome[] = [];
  let left = DEATHS;
  const lane = async (name: string) => {
    while (left-- > 0) {
      const disk = await makeOldDisk(name);
      await runWriter(disk.path, random() * tookMs);
      outcomes.push(await outcome(disk));
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, (_, index) => lane(`disk${index}`)));
  expect(outcomes).toHaveLength(DEATHS);
  expect(outcomes).not.toContain('boots something unfinished');
  // Otherwise no process died where it matters.
  expect(outcomes.filter((one) => one === 'boots nothing').length).toBeGreaterThan(DEATHS / 10);
}, 120_000);

test('a file size limit in the middle of the image: a short write, then an error that names the LBA; never "written"', async () => {
  const disk = await makeOldDisk('limited');
  const limit = 3 * MIB + 100_000;
  const { stdout } = await systemRun(
    'prlimit',
    [`--fsize=${limit}`, process.execPath, writer, disk.path, join(folder, 'image'), sha256(image)],
    { okExitCodes: [1] },
  );
  expect(stdout).toMatch(/cannot write \S+limited at LBA \d+ to \d+ \(sectors of 512 bytes\): EFBIG/);
  expect(stdout).not.toContain('written\n');
  expect(await outcome(disk)).not.toBe('complete');
});
