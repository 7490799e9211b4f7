import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { systemRun, systemStart } from '../../../system/run.ts';
import { firmwareSees, makeOldDisks, type OldDisk, type Sight } from '../../fakes/firmware.ts';
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
let oldDisks: OldDisk[] = [];
beforeAll(async () => {
  oldDisks = await makeOldDisks(DISK_BYTES);
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

/** What is on a disk after its writer died at a moment, or lived. */
async function dieAt(
  name: string,
  old: OldDisk,
  killAfterMs?: number,
): Promise<{ sight: Sight; tookMs: number; last: string }> {
  const path = join(folder, name);
  await writeFile(path, old.bytes);
  const { tookMs, last } = await runWriter(path, killAfterMs);
  return { sight: firmwareSees(await readFile(path), old, image), tookMs, last };
}

test(`a writer that is killed at any of ${DEATHS} moments leaves all of the old system, nothing that boots, or all of the new one`, async () => {
  const { sight, tookMs, last } = await dieAt('whole', oldDisks[1] as OldDisk);
  expect({ sight, last }).toEqual({ sight: 'new system', last: 'written' });
  const random = seeded(2026);
  const sights: Sight[] = [];
  let left = DEATHS;
  const lane = async (name: string) => {
    while (left-- > 0) {
      // Half of them die while the old system is wiped, which is soon done.
      const moment = left % 2 === 0 ? random() : random() ** 4;
      sights.push((await dieAt(name, oldDisks[left % oldDisks.length] as OldDisk, moment * tookMs)).sight);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, (_, index) => lane(`disk${index}`)));
  expect(sights).toHaveLength(DEATHS);
  expect(sights.filter((one) => !['old system', 'nothing', 'new system'].includes(one))).toEqual([]);
  // Otherwise no process died where it matters.
  expect(sights.filter((one) => one === 'nothing').length).toBeGreaterThan(DEATHS / 10);
}, 300_000);

test('a file size limit in the middle of a write: a short write, then an error that names the LBA; never "written"', async () => {
  const old = oldDisks[0] as OldDisk;
  const path = join(folder, 'limited');
  await writeFile(path, old.bytes);
  const limit = DISK_BYTES - MIB / 2 - 100_000;
  const { stdout } = await systemRun(
    'prlimit',
    [`--fsize=${limit}`, process.execPath, writer, path, join(folder, 'image'), sha256(image)],
    { okExitCodes: [1] },
  );
  expect(stdout).toMatch(/cannot write \S+limited at LBA \d+ to \d+ \(sectors of 512 bytes\): EFBIG/);
  expect(stdout).not.toContain('written\n');
  expect(firmwareSees(await readFile(path), old, image)).not.toBe('new system');
});
