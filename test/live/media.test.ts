import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { bootRamdisk } from '../../builder/boot.ts';
import { buildRamdisk } from '../../builder/build.ts';
import type { BuildResult } from '../../builder/results.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import { openHost } from '../../builder/host/system.ts';
import { createProgress } from '../../cli/progress.ts';
import { systemRun } from '../../system/run.ts';

// Media that build-ramdisk makes, started by real firmware up to the first line of the ramdisk's own.

let folder: string;
let host: BuilderHost;
let built: BuildResult;
const progress = createProgress('silent', process.stderr);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-media-'));
  host = await openHost();
  built = await buildRamdisk({
    host,
    compress: 'zstd:3',
    formats: ['iso', 'uki'],
    append: 'ipa-api-url=http://192.0.2.1:6385 ingot-test="two words" no_timer_check',
    output: join(folder, 'ingot'),
    progress,
    signal: new AbortController().signal,
  });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the console says until the ramdisk itself speaks. */
async function consoleUntilRamdisk(boot: { iso: boolean; uefi: boolean; name: string }): Promise<string[]> {
  const stop = new AbortController();
  const done = new Error('the ramdisk has started');
  const lines: string[] = [];
  const timer = setTimeout(() => stop.abort(new Error(`no ramdisk:\n${lines.slice(-40).join('\n')}`)), 900_000);
  const running = bootRamdisk({
    ...boot,
    host,
    append: '',
    cpus: 2,
    memoryMiB: 1024,
    disks: [],
    forwards: [],
    mirror: [],
    progress,
    signal: stop.signal,
    onStart: () => undefined,
    onLine: (line) => {
      lines.push(line);
      if (/\bingot: Ingot /.test(line)) stop.abort(done);
    },
  });
  await expect(running).rejects.toBe(done);
  clearTimeout(timer);
  return lines;
}

test.each([
  ['BIOS', false],
  ['UEFI', true],
])('the ISO starts by %s, with the kernel parameters that it was made with', async (_, uefi) => {
  const lines = await consoleUntilRamdisk({ iso: true, uefi, name: join(folder, 'ingot') });
  // The kernel says it twice; an emulated serial line loses a letter now and then.
  const said = lines.filter((one) => /ommand line:/.test(one));
  const wanted = 'console=ttyS0,115200 ipa-api-url=http://192.0.2.1:6385 "ingot-test=two words"';
  expect(said.filter((one) => one.includes(wanted))).not.toEqual([]);
});

test('the sums hold for all files, media included', async () => {
  const { stdout } = await systemRun('sha256sum', ['-c', 'ingot.sha256'], { cwd: folder });
  expect(stdout).toBe(
    ['kernel', 'initramfs', 'manifest.json', 'cdx.json', 'iso', 'efi']
      .map((ending) => `ingot.${ending}: OK\n`)
      .join(''),
  );
  expect(built.media.map((one) => one.format)).toEqual(['iso', 'uki']);
});
