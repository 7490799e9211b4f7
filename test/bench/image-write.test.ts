import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

import { describe, expect, onTestFinished, test } from 'vitest';

import { parseAgentStart } from '../../bench/image-write/agent.ts';
import { diskContent } from '../../bench/image-write/data.ts';
import { measure, parseTimes } from '../../bench/measure.ts';
import { floorOf, goalsOf, type ImageResult, makeReport, reportText } from '../../bench/image-write/report.ts';
import { systemRun, systemStart } from '../../system/run.ts';

const MIB = 2 ** 20;

test('the server keeps no file open for a client that left in the middle', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-serve-'));
  const path = join(folder, 'image');
  await writeFile(path, Buffer.alloc(64 * MIB));
  const child = systemStart(process.execPath, ['bench/image-write/server.ts', folder], { stdio: 'pipe' });
  onTestFinished(async () => {
    child.kill();
    await rm(folder, { recursive: true });
  });
  const url = await new Promise<string>((resolve) => {
    child.stdout?.once('data', (text: Buffer) => resolve(text.toString().trim()));
  });
  const openFiles = async () => {
    const names = await readdir(`/proc/${child.pid}/fd`);
    const targets = names.map((name) => readlink(`/proc/${child.pid}/fd/${name}`).catch(() => ''));
    return (await Promise.all(targets)).filter((target) => target === path).length;
  };
  /** While the server waits for it: one in six was a file that stayed open. */
  const leaveAfter = async (lengthBytes: number) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => undefined).write('GET /image HTTP/1.1\r\nHost: localhost\r\n\r\n');
    for (let got = 0; got < lengthBytes;) got += ((await once(socket, 'data')) as [Buffer])[0].length;
    socket.pause();
    await sleep(30);
    socket.destroy();
  };
  for (let count = 0; count < 60; count++) await leaveAfter((count + 1) * (MIB / 2));
  await expect.poll(openFiles, { timeout: 10_000 }).toBe(0);
});

describe('what a run has cost', () => {
  const never = new AbortController().signal;

  test('is the last line of bash’s time', () => {
    const output = 'ingot-bench-times 9.000 9.000 9.000\nsomething\ningot-bench-times 1.250 0.500 0.125\n';
    expect(parseTimes(output)).toEqual({ wallSeconds: 1.25, processorSeconds: 0.625 });
    expect(parseTimes('bash: time: no such thing')).toBeUndefined();
  });

  test('counts the memory and the processor time of all processes of a pipeline', async () => {
    const hungry = `"$NODE" -e "const b = Buffer.alloc(200e6, 1); const end = Date.now() + 700; while (Date.now() < end) b.fill(2, 0, 1e6)"`;
    const { cost, why } = await measure(systemStart, `true | { ${hungry}; }`, { NODE: process.execPath }, never);
    expect(why).toBeUndefined();
    expect(cost?.residentBytes).toBeGreaterThan(200e6);
    expect(cost?.residentBytes).toBeLessThan(500e6);
    expect(cost?.processorSeconds).toBeGreaterThan(0.05);
    expect(cost?.wallSeconds).toBeGreaterThan(0.7);
  });

  test('is nothing where the command fails, anywhere in a pipeline', async () => {
    expect(await measure(systemStart, 'echo no such file >&2; false | cat', {}, never)).toEqual({
      cost: undefined,
      why: 'no such file',
    });
  });

  test('ends with the signal, and nothing of the command is left', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-measure-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const controller = new AbortController();
    const running = measure(systemStart, `sleep 600 & echo $! > "${folder}/pid"; wait`, {}, controller.signal);
    while ((await readdir(folder)).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 100));
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    expect(pid).toBeGreaterThan(0);
    // Gone, or dead and not yet waited for by whoever inherited it.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone Z');
    expect(stat).toMatch(/ Z/);
  });
});

describe('the disk of the bench', () => {
  test('is the same for the same seed, two fifths full, and compresses as files do', () => {
    const digest = (seed: string) => {
      const hash = createHash('sha256');
      let bytes = 0;
      let last = 0;
      let [all, small] = [0, 0];
      for (const extent of diskContent(seed, 256 * MIB)) {
        expect(extent.position).toBeGreaterThanOrEqual(last);
        last = extent.position + extent.bytes.length;
        hash.update(`${extent.position} `).update(extent.bytes);
        bytes += extent.bytes.length;
        if (bytes < 16 * MIB) [all, small] = [all + extent.bytes.length, small + gzipSync(extent.bytes).length];
      }
      expect(last).toBeLessThanOrEqual(255 * MIB);
      return { hash: hash.digest('hex'), share: bytes / (256 * MIB), compressed: small / all };
    };
    const one = digest('a');
    expect(digest('a')).toEqual(one);
    expect(digest('b').hash).not.toBe(one.hash);
    expect(one.share).toBeGreaterThan(0.3);
    expect(one.share).toBeLessThan(0.6);
    expect(one.compressed).toBeGreaterThan(0.35);
    expect(one.compressed).toBeLessThan(0.85);
  });
});

const run = (wallSeconds: number, more: object = {}) => ({
  wallSeconds,
  processorSeconds: 1,
  residentBytes: 140e6,
  ioWriteBytes: 1,
  writtenBytes: 101,
  ...more,
});
const result: ImageResult = {
  image: 'raw',
  fileBytes: 200,
  series: [
    { name: 'Ingot', kind: 'own', runs: [run(2.4), run(3)] },
    { name: 'IPA’s way', kind: 'peer', runs: [run(4.8), run(6)] },
    { name: 'curl|tee|dd', kind: 'peer', runs: [run(2.4), { why: 'curl: (7)\nrefused' }] },
    { name: 'HTTP to nowhere', kind: 'stage', runs: [run(1), run(2.4)] },
    { name: 'hash alone', kind: 'stage', runs: [run(2), run(1)] },
    { name: 'dd alone', kind: 'stage', runs: [run(1), run(1)] },
  ],
};

describe('the report of image-write', () => {
  test('takes the slowest stage of each round for the floor', () => {
    expect(floorOf(result)).toEqual([2, 2.4]);
    expect(floorOf({ ...result, series: result.series.slice(0, 3) })).toEqual([]);
  });

  test('judges each goal by the median of the rounds, and a peer that failed is none', () => {
    const verdicts = Object.fromEntries(
      goalsOf(result, 100).map(({ name, met, value }) => [name, [met, value?.median]]),
    );
    expect(verdicts).toEqual({
      'wall time over the floor': [true, 1.225],
      'wall time over IPA’s way': [true, 0.5],
      'wall time over curl|tee|dd': [false, 1],
      'bytes written over bytes allocated': [true, 1.01],
      'peak resident memory': [true, 140e6],
    });
    const without = { ...result, series: result.series.filter(({ kind }) => kind !== 'stage') };
    expect(goalsOf(without, 100)[0]?.met).toBeUndefined();
  });

  test('says for people what was met, what was missed, and what has no figures', () => {
    const conditions = {
      date: '2026-11-28T00:00:00.000Z',
      processors: '2 processors',
      loadBefore: 1,
      loadMean: 2,
      rounds: 2,
      virtualBytes: 200,
      allocatedBytes: 100,
      versions: { node: 'v24' },
    };
    const text = reportText(makeReport(conditions, [result]));
    expect(text).toContain('met          raw: wall time over the floor 1.23, goal: at most 1.25');
    expect(text).toContain('MISSED       raw: wall time over curl|tee|dd 1.00, goal: below 1.00');
    expect(text).toContain('raw, curl|tee|dd: no figures: curl: (7) | refused');
    expect(text).toMatch(/^Ingot +2\.70 s +1\.00 s +140\.0 MB +- +0\.1 kB$/m);
    expect(text).toMatch(/^ {2}floor: the slowest stage +2\.20 s +1\.23 \(1\.20 to 1\.25\)$/m);
  });
});

test('the bench itself, small: Ingot writes the very disk, and nothing but images and report stays', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-image-write-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const args = [
    'image-write',
    '--size',
    '64MiB',
    '--rounds',
    '1',
    '--only',
    'qcow2',
    '--only',
    'Ingot',
    '--out',
    folder,
  ];
  const { stdout } = await systemRun(process.execPath, ['bench/main.ts', ...args, '--json'], { timeoutMs: 170_000 });
  const report = JSON.parse(stdout) as { images: ImageResult[] };
  expect(report.images.map(({ image }) => image)).toEqual(['qcow2']);
  const [ingot, ...stages] = report.images[0]?.series ?? [];
  expect(ingot).toMatchObject({ name: 'Ingot', runs: [{ wallSeconds: expect.any(Number) as unknown }] });
  expect(ingot?.runs[0]?.why).toBeUndefined();
  expect(ingot?.runs[0]?.residentBytes).toBeGreaterThan(50e6);
  expect(stages.map(({ name }) => name)).toEqual(['HTTP to nowhere', 'hash alone', 'dd alone']);
  expect((await readdir(folder)).toSorted()).toEqual(['images', 'report.json', 'work']);
  expect(await readdir(join(folder, 'work'))).toEqual([]);
}, 180_000);

test('the bench names what it cannot use', async () => {
  const bench = (...args: string[]) =>
    systemRun(process.execPath, ['bench/main.ts', 'image-write', ...args], { okExitCodes: [0, 2], timeoutMs: 60_000 });
  expect((await bench('--help')).stdout).toContain('--only NAME');
  expect(await bench('--only', 'qcow')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('try: qcow2') as unknown,
  });
  expect(await bench('--size', '1MiB')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('at least 64MiB') as unknown,
  });
});

test('the agent is started as the ramdisk starts it', async () => {
  const script = await readFile('elements/agent/files/etc/ingot/agent', 'utf8');
  const start = parseAgentStart(script);
  expect(start?.nodeOptions).toMatch(/^--max-semi-space-size=\d+( --\S+)*$/);
  expect(Object.keys(start?.env ?? {})).toContain('UV_THREADPOOL_SIZE');
  expect(start?.env['UV_THREADPOOL_SIZE']).toMatch(/^\d+$/);
  expect(parseAgentStart('node=/opt/ingot/node')).toBeUndefined();
});
