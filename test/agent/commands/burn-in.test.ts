import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { fioErrors, runLoad } from '../../../agent/commands/burn-in.ts';
import { BURN_IN_STEPS } from '../../../agent/commands/burn-in-steps.ts';
import { readSelfTest } from '../../../agent/commands/smart-test.ts';
import { systemOs } from '../../../agent/os/system.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

type Progress = { phase: string; done?: number; total?: number; message?: string };
function noted(signal = new AbortController().signal) {
  const log: string[] = [];
  const progress: Progress[] = [];
  const context = {
    signal,
    progress: (one: Progress) => void progress.push(one),
    log: (line: string) => void log.push(line),
  };
  return { context, log, progress };
}

async function runStep(name: string, os: AgentOs, driver_info: Record<string, unknown>, properties = {}) {
  const { context, log, progress } = noted();
  const step = BURN_IN_STEPS.find((one) => one.step === name);
  const request = { kind: 'clean' as const, node: { uuid: 'u', driver_info, properties }, ports: [], args: {} };
  await step?.run(fakeDeps({ os }), request, context);
  return { log, progress };
}

/** Programs that only note how they were called; the exit codes are used up one by one, the last one stays. */
function follower(codes: number[] = [0], report = '{"jobs":[]}') {
  const calls: string[] = [];
  const files = memoryFiles();
  const follow: AgentOs['follow'] = async (file, args, { onLine }) => {
    calls.push([file, ...args].join(' '));
    const out = args[args.findIndex((one) => one === '--output' || one === '--log-file') + 1];
    if (out !== undefined) await files.write(out, report);
    onLine('worn in', 'stdout');
    const exitCode = (codes.length > 1 ? codes.shift() : codes[0]) ?? 0;
    return { exitCode, killedBy: null, isTimedOut: false };
  };
  return { calls, files, follow };
}

describe('burnin_cpu and burnin_memory', () => {
  test('are stress-ng for a day on everything, unless driver_info says otherwise', async () => {
    const { calls, files, follow } = follower();
    const os = fakeOs({ follow, files });
    await runStep('burnin_cpu', os, {});
    await runStep('burnin_memory', os, {});
    await runStep('burnin_cpu', os, { agent_burnin_cpu_cpu: 2, agent_burnin_cpu_timeout: '60' });
    await runStep('burnin_memory', os, {
      agent_burnin_vm_vm: 1,
      'agent_burnin_vm_vm-bytes': '2g',
      agent_burnin_vm_timeout: 5,
      agent_burnin_vm_outputfile: '/tmp/report',
    });
    expect(calls).toEqual([
      'stress-ng --cpu 0 --timeout 86400 --metrics-brief --log-file /var/log/burnin-cpu.log',
      'stress-ng --vm 0 --timeout 86400 --vm-bytes 98% --metrics-brief --log-file /var/log/burnin-memory.log',
      'stress-ng --cpu 2 --timeout 60 --metrics-brief --log-file /var/log/burnin-cpu.log',
      'stress-ng --vm 1 --timeout 5 --vm-bytes 2g --metrics-brief --log-file /var/log/burnin-memory.log',
    ]);
    expect(files.all.get('/tmp/report')).toBe(files.all.get('/var/log/burnin-memory.log'));
  });

  test.each([
    ['burnin_cpu', { agent_burnin_cpu_timeout: '1h' }],
    ['burnin_cpu', { agent_burnin_cpu_cpu: -1 }],
    ['burnin_cpu', { agent_burnin_cpu_outputfile: 'report' }],
    ['burnin_memory', { 'agent_burnin_vm_vm-bytes': '98% --exec' }],
    ['burnin_disk', { agent_burnin_fio_disk_loops: {} }],
  ])('%s with %j is refused, with the name of the setting', async (step, settings) => {
    const { calls, files, follow } = follower();
    const [name = ''] = Object.keys(settings);
    const work = runStep(step, fakeOs({ follow, files }), settings);
    await expect(work).rejects.toMatchObject({
      type: 'InvalidCommandParamsError',
      details: expect.stringContaining(name) as string,
    });
    expect(calls).toEqual([]);
  });

  test('fail with the last words of the program, and say how to get a program that is not there', async () => {
    const { files, follow } = follower([2]);
    await expect(runStep('burnin_cpu', fakeOs({ follow, files }), {})).rejects.toThrow(
      /stress-ng ended with exit code 2: worn in; its report is \/var\/log\/burnin-cpu\.log/,
    );
    const missing = () => Promise.reject(new Failure('COMMAND_FAILED', 'cannot run stress-ng: spawn stress-ng ENOENT'));
    await expect(runStep('burnin_cpu', fakeOs({ follow: missing }), {})).rejects.toThrow(
      /stress-ng is not in this ramdisk; build it with the element burn-in/,
    );
  });
});

/** Every device of it is empty, which is all that the guard has to see. */
const emptyDevice: AgentOs['openDevice'] = async (path) => ({
  path,
  sizeBytes: 2 ** 30,
  sectorBytes: 512,
  read: async (buffer) => void buffer.fill(0),
  write: () => Promise.reject(new Error('nothing writes here')),
  zero: () => Promise.reject(new Error('nothing writes here')),
  tryZeroing: () => Promise.reject(new Error('nothing writes here')),
  readBack: async (buffer) => void buffer.fill(0),
  flush: async () => undefined,
  close: async () => undefined,
});

describe('burnin_disk', () => {
  const PREFIX =
    'fio --rw readwrite --bs 4k --direct 1 --ioengine libaio --iodepth 32 --verify crc32c --verify_dump 1 --continue_on_error verify --loops 4';
  const disks = (names: string[]) => names.map((name) => ` --name ${name} --filename ${name}`).join('');
  const tail = ' --eta always --eta-newline 10 --output-format json --output /var/log/burnin-disk.json';

  function q35(change: (blocks: Record<string, unknown>[]) => void = () => undefined) {
    const { calls, files, follow } = follower();
    const list = JSON.parse(fixture('qemu-q35', 'lsblk.json')) as { blockdevices: Record<string, unknown>[] };
    change(list.blockdevices);
    const machine = machineOs('qemu-q35', { follow, openDevice: emptyDevice });
    const run: AgentOs['run'] = async (file, args, options) =>
      file === 'lsblk' ? { stdout: JSON.stringify(list), stderr: '', exitCode: 0 } : machine.run(file, args, options);
    return { os: { ...machine, run, files: { ...machine.files, ...files } }, calls };
  }

  test('loads all disks at once', async () => {
    const { os, calls } = q35();
    await runStep('burnin_disk', os, {});
    expect(calls).toEqual([PREFIX + tail + disks(['/dev/sda', '/dev/vda', '/dev/nvme0n1'])]);
  });

  test('leaves out disks that are read-only or to be skipped, and says so', async () => {
    const { os, calls } = q35((blocks) => blocks.forEach((one) => (one['ro'] = one['kname'] === 'vda')));
    const properties = { skip_block_devices: [{ name: '/dev/sda' }] };
    const { log } = await runStep('burnin_disk', os, { agent_burnin_fio_disk_runtime: 30 }, properties);
    expect(calls).toEqual([`${PREFIX} --runtime 30 --time_based${tail}${disks(['/dev/nvme0n1'])}`]);
    expect(log.filter((line) => line.includes('not burnt in'))).toEqual([
      "/dev/sda is not burnt in: /dev/sda is named by the node's skip_block_devices",
      '/dev/vda is not burnt in: /dev/vda is read-only',
    ]);
  });

  test.each([
    ['mounted', { mountpoint: '/srv' }, /sda1 is mounted/],
    ['shared', { fstype: 'gfs2' }, /GFS2/],
    ['part of an array', { type: 'raid1' }, /held by \/dev\/sda1/],
  ])('touches none while something of one is %s', async (_, change, words) => {
    const { os, calls } = q35((blocks) => Object.assign(blocks.find(({ kname }) => kname === 'sda1') ?? {}, change));
    const work = runStep('burnin_disk', os, {});
    await expect(work).rejects.toMatchObject({ type: 'ProtectedDeviceError' });
    await expect(work).rejects.toThrow(words);
    expect(calls).toEqual([]);
  });
});

describe('a load', () => {
  let folder: string | undefined;
  afterEach(async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  test('shows how far it is by the time that has passed', async () => {
    const { context, progress, log } = noted();
    const os = fakeOs({
      follow: async (_file, _args, { onLine }) => {
        await new Promise((resolve) => setImmediate(resolve));
        onLine('Jobs: 1 (f=1): [V(1)][50.0%][r=7MiB/s][eta 00m:25s]', 'stdout');
        for (let wait = 0; wait < 4; wait++) await new Promise((resolve) => setImmediate(resolve));
        return { exitCode: 0, killedBy: null, isTimedOut: false };
      },
    });
    await runLoad(os, { what: 'disks', program: 'fio', args: [], seconds: 50, report: '/var/log/x' }, context);
    expect(progress[0]).toEqual({ phase: 'burn in disks', done: 0, total: 50, unit: 's' });
    expect(progress.at(-1)).toMatchObject({ total: 50, message: expect.stringContaining('eta 00m:25s') as string });
    expect(progress.at(-1)?.done).toBeGreaterThan(0);
    expect(progress.at(-1)?.done).toBeLessThanOrEqual(50);
    expect(log.join('\n')).not.toContain('Jobs:');
  });

  test('ends with its program when it is aborted, and keeps what the program has written', async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-burn-in-'));
    const report = join(folder, 'report');
    const script = join(folder, 'load');
    await writeFile(script, 'echo half >"$1"; echo started; sleep 60; echo whole >"$1"');
    const controller = new AbortController();
    const { context } = noted(controller.signal);
    const noticing = {
      ...context,
      log: (line: string) => line.endsWith('started') && controller.abort(new Error('over')),
    };
    const load = { what: 'x', program: 'sh', args: [script, report], seconds: 60, report };
    await expect(runLoad(systemOs(), load, noticing)).rejects.toThrow('over');
    expect(await readFile(report, 'utf8')).toBe('half\n');
  });

  test("is found to have failed by fio's report, although fio ended well", async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-burn-in-'));
    const file = join(folder, 'disk');
    await writeFile(file, '');
    await truncate(file, 2 ** 20);
    const recorded = {
      jobs: [
        { jobname: '/dev/sda', error: 0, total_err: 0, first_error: 0 },
        { jobname: '/dev/sdb', error: 0, total_err: 3, first_error: 84 },
      ],
    };
    expect(fioErrors(`note: something\n${JSON.stringify(recorded)}`)).toEqual([
      '/dev/sdb had 3 errors, the first of number 84 (errno)',
    ]);
    expect(fioErrors('')).toHaveLength(1);
  });
});

describe('burnin_network', () => {
  const PREFIX =
    'fio --ioengine net --port 9000 --fill_device 1 --group_reporting --gtod_reduce 1 --numjobs 16 --eta always --eta-newline 10';
  const writer = `${PREFIX} --name writer --rw write --runtime 60 --time_based --listen --output-format json --output /var/log/burnin-network.writer.json`;
  const reader = `${PREFIX} --name reader --rw read --hostname 10.0.0.2 --output-format json --output /var/log/burnin-network.reader.json`;
  const settings = (role: string) => ({
    agent_burnin_fio_network_runtime: 60,
    agent_burnin_fio_network_config: { role, partner: '10.0.0.2' },
  });

  test('writes and reads, or the other way round; a reader waits for its partner', async () => {
    const first = follower();
    await runStep('burnin_network', fakeOs(first), settings('writer'));
    expect(first.calls).toEqual([writer, reader]);
    const second = follower([16, 16, 0]);
    await runStep('burnin_network', fakeOs(second), settings('reader'));
    expect(second.calls).toEqual([reader, reader, reader, writer]);
    await expect(runStep('burnin_network', fakeOs(follower([16])), settings('writer'))).rejects.toThrow(/exit code 16/);
  });

  test.each([
    [{}, /no agent_burnin_fio_network_config/],
    [settings('both'), /role "both"/],
    [{ agent_burnin_fio_network_config: { role: 'reader', partner: '--help' } }, /partner "--help"/],
  ])('is refused with %j', async (info, words) => {
    await expect(runStep('burnin_network', fakeOs(follower()), info)).rejects.toThrow(words);
  });
});

test("a disk's own test is read from smartctl's JSON, of ATA and NVMe disks", () => {
  const ata = (string: string, remaining_percent?: number) =>
    readSelfTest(
      JSON.stringify({ ata_smart_data: { self_test: { status: { value: 0, string, remaining_percent } } } }),
    );
  expect(ata('in progress, 90% remaining', 90)).toMatchObject({ isRunning: true, leftPercent: 90 });
  expect(ata('completed without error')).toMatchObject({ isRunning: false, hasPassed: true });
  expect(ata('completed with read failure')).toMatchObject({ isRunning: false, hasPassed: false });
  const nvme = (value: number, result: number) =>
    readSelfTest(
      JSON.stringify({
        nvme_self_test_log: {
          current_self_test_operation: { value, string: 'Extended self-test in progress' },
          current_self_test_completion_percent: 40,
          table: [{ self_test_result: { value: result, string: 'Completed: failed segments' } }],
        },
      }),
    );
  expect(nvme(2, 0)).toMatchObject({ isRunning: true, leftPercent: 60 });
  expect(nvme(0, 0)).toMatchObject({ isRunning: false, hasPassed: true });
  expect(nvme(0, 7)).toMatchObject({ isRunning: false, hasPassed: false, words: 'Completed: failed segments' });
  expect(readSelfTest('{}')).toBeUndefined();
  expect(readSelfTest('no json')).toBeUndefined();
});
