import { describe, expect, test, vi } from 'vitest';

import type { AgentDeps } from '../../../agent/commands/deps.ts';
import { POWER_COMMANDS } from '../../../agent/commands/power.ts';
import { makeConfig } from '../../../agent/config/config.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { Failure } from '../../../system/failure.ts';
import { fakeOs, fakeRun, memoryFiles } from '../../fakes/agent-os.ts';

const FLUSHED = {
  sync: '',
  'blockdev --flushbufs /dev/sda': '',
  'blockdev --flushbufs /dev/nvme0n1': '',
  'hwclock -w -u': '',
};

function setup(answers: Record<string, string | Error>, more: Partial<AgentDeps> = {}) {
  const run = fakeRun({ ...FLUSHED, ...answers });
  const files = memoryFiles({
    '/sys/block/sda/size': '1',
    '/sys/block/nvme0n1/size': '1',
    '/sys/block/loop0/size': '0',
    '/sys/block/zram0/size': '0',
  });
  const deps: AgentDeps = {
    os: fakeOs({ run, files }),
    config: makeConfig(new Map()),
    node: { current: undefined },
    inventory: () => Promise.reject(new Error('not here')),
    refreshNode: async () => undefined,
    recentLog: () => [],
    ...more,
  };
  const log = vi.fn<(message: string) => void>();
  const runner = createRunner({ commands: POWER_COMMANDS, deps, signal: new AbortController().signal, log });
  return { run, files, log, execute: (name: string) => runner.execute(name, {}, true) };
}

describe('power', () => {
  test.each([
    ['standby.power_off', 'poweroff'],
    ['standby.run_image', 'reboot'],
  ])('%s flushes every disk, then runs %s', async (name, program) => {
    const { execute, run, files } = setup({ [program]: '' });
    expect(await execute(name)).toMatchObject({ command_status: 'SUCCEEDED', command_result: null });
    expect(run.calls).toEqual([
      'hwclock -w -u',
      'sync',
      'blockdev --flushbufs /dev/sda',
      'blockdev --flushbufs /dev/nvme0n1',
      program,
    ]);
    expect(files.all.get('/proc/sys/vm/drop_caches')).toBe('3');
    expect(files.all.has('/proc/sysrq-trigger')).toBe(false);
  });

  test.each([
    ['standby.power_off', 'o'],
    ['standby.run_image', 'b'],
  ])('%s asks the kernel when the program does not do it', async (name, letter) => {
    const { execute, files, log } = setup({});
    expect((await execute(name)).command_status).toBe('SUCCEEDED');
    expect(files.all.get('/proc/sysrq-trigger')).toBe(letter);
    expect(log).toHaveBeenCalledWith(expect.stringContaining('asking the kernel'));
  });

  test('that neither program nor kernel changes is SystemRebootError', async () => {
    const { execute, files } = setup({});
    const write = files.write;
    files.write = (path, content) =>
      path === '/proc/sysrq-trigger' ? Promise.reject(new Error('EPERM')) : write(path, content);
    expect((await execute('standby.power_off')).command_error).toMatchObject({
      type: 'SystemRebootError',
      details: expect.stringMatching(/^cannot poweroff: .*ENOENT; the kernel: EPERM$/),
    });
  });
});

describe('sync', () => {
  test('flushes and nothing else', async () => {
    const { execute, run } = setup({});
    expect(await execute('standby.sync')).toMatchObject({ command_status: 'SUCCEEDED', command_result: null });
    expect(run.calls).toEqual(['sync', 'blockdev --flushbufs /dev/sda', 'blockdev --flushbufs /dev/nvme0n1']);
  });

  test('fails when sync fails, but not for one disk', async () => {
    const broken = setup({ sync: new Failure('COMMAND_FAILED', 'cannot run sync: I/O error') });
    expect((await broken.execute('standby.sync')).command_error).toMatchObject({
      details: 'cannot run sync: I/O error',
    });
    const half = setup({ 'blockdev --flushbufs /dev/sda': new Error('gone') });
    expect((await half.execute('standby.sync')).command_status).toBe('SUCCEEDED');
    expect(half.log).toHaveBeenCalledWith('cannot flush /dev/sda: gone');
  });
});

describe('the clock before the machine goes down', () => {
  const strict = { config: { ...makeConfig(new Map()), failIfClockNotSet: true } };
  const broken = { setClock: () => Promise.reject(new Failure('NO_TIME', 'cannot set the clock by x: silent')) };

  test('is set by the time server once more, and the hardware by it', async () => {
    const { execute, run, log } = setup({ reboot: '' }, { setClock: async () => 'the clock is right, says x' });
    expect(await execute('standby.run_image')).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(run.calls[0]).toBe('hwclock -w -u');
    expect(log).toHaveBeenCalledWith('the clock is right, says x');
  });

  test('that cannot be set is said, and the machine goes down all the same', async () => {
    const { execute, run, log } = setup({ poweroff: '', 'hwclock -w -u': new Error('no such device') }, broken);
    expect(await execute('standby.power_off')).toMatchObject({ command_status: 'SUCCEEDED' });
    expect(run.calls.at(-1)).toBe('poweroff');
    expect(log).toHaveBeenCalledWith('the clock keeps its time: cannot set the clock by x: silent');
    expect(log).toHaveBeenCalledWith('the hardware clock keeps its time: no such device');
  });

  test.each([
    ['a silent server', broken, {}],
    ['a missing hardware clock', {}, { 'hwclock -w -u': new Error('no such device') }],
  ])('with fail_if_clock_not_set %s fails the command, and the machine stays', async (_name, more, answers) => {
    const { execute, run } = setup({ reboot: '', ...answers }, { ...strict, ...more });
    expect(await execute('standby.run_image')).toMatchObject({
      command_status: 'FAILED',
      command_error: { type: 'ClockSyncError' },
    });
    expect(run.calls).not.toContain('reboot');
  });
});
