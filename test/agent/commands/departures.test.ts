import { describe, expect, test, vi } from 'vitest';

import { DEPARTURE_COMMANDS } from '../../../agent/commands/departures.ts';
import type { AgentDeps } from '../../../agent/commands/deps.ts';
import { POLL_COMMANDS } from '../../../agent/commands/poll.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';

const HASH = '$5$rounds=1000$saltsalt$5sR5Wn6YoiKBXZ3yVD5kqxDmi0dVGrVl1d2sWQ0x8t1';
const PASSWORD = 'correct horse';

function setup(parts: Partial<AgentDeps> = {}) {
  const leave = vi.fn<NonNullable<AgentDeps['leave']>>();
  const files = memoryFiles();
  const runner = createRunner({
    commands: [...DEPARTURE_COMMANDS, ...POLL_COMMANDS],
    deps: fakeDeps({ os: fakeOs({ run: systemRun, files }), leave, ...parts }),
    signal: new AbortController().signal,
    log: () => undefined,
  });
  return { runner, files, leave, rescue: (params: object) => runner.execute('rescue.finalize_rescue', { ...params }) };
}
const kept = (files: { all: Map<string, string> }) => files.all.get('/etc/ipa-rescue-config/ipa-rescue-password');

describe('rescue.finalize_rescue', () => {
  test('keeps the hash that Ironic sends, makes the mark, and then leaves', async () => {
    const { rescue, files, leave } = setup();
    expect(await rescue({ rescue_password: HASH, hashed: true })).toMatchObject({
      command_name: 'finalize_rescue',
      command_status: 'SUCCEEDED',
      command_result: null,
      command_error: null,
    });
    expect(kept(files)).toBe(HASH);
    expect(files.all.has('/etc/.rescued')).toBe(true);
    expect(leave).toHaveBeenCalledWith('rescue');
  });

  test('makes a SHA-256 hash of a plain password, one that openssl makes of it, too', async () => {
    const { rescue, files } = setup();
    expect((await rescue({ rescue_password: PASSWORD })).command_status).toBe('SUCCEEDED');
    const [, kind, salt = ''] = kept(files)?.split('$') ?? [];
    expect(kind).toBe('5');
    const { stdout } = await systemRun('openssl', ['passwd', '-5', '-salt', salt, PASSWORD]);
    expect(kept(files)).toBe(stdout.trim());
  });

  test.each(['', PASSWORD, `${HASH}:0:0`, `${HASH}\nroot::`])(
    'refuses %j as a hash, keeps nothing and goes on serving',
    async (password) => {
      const { runner, rescue, files, leave } = setup();
      await expect(rescue({ rescue_password: password, hashed: true })).rejects.toMatchObject({
        type: 'InvalidCommandParamsError',
        code: 400,
      });
      expect(runner.history()).toEqual([]);
      expect([...files.all]).toEqual([]);
      expect(leave).not.toHaveBeenCalled();
    },
  );

  test('a machine that is no ramdisk is not touched', async () => {
    const { files } = setup();
    const runner = createRunner({
      commands: DEPARTURE_COMMANDS,
      deps: fakeDeps({ os: fakeOs({ files }) }),
      signal: new AbortController().signal,
      log: () => undefined,
    });
    for (const [name, params] of [
      ['rescue.finalize_rescue', { rescue_password: HASH, hashed: true }],
      ['system.lockdown', {}],
    ] as const)
      expect(await runner.execute(name, params)).toMatchObject({
        command_name: name,
        command_error: {
          type: 'CommandExecutionError',
          details: expect.stringContaining('not run in a ramdisk') as string,
        },
      });
    expect([...files.all]).toEqual([]);
  });
});

test('system.lockdown leaves', async () => {
  const { runner, leave } = setup();
  expect(await runner.execute('system.lockdown', {})).toMatchObject({
    command_status: 'SUCCEEDED',
    command_result: null,
  });
  expect(leave).toHaveBeenCalledWith('lockdown');
});

test('poll.set_node_info is an invalid command, as in every agent that is not standalone', async () => {
  const { runner } = setup();
  await expect(runner.execute('poll.set_node_info', { node_info: {} })).rejects.toMatchObject({
    type: 'InvalidCommandError',
    code: 400,
  });
  expect(runner.history()).toEqual([]);
});
