import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { automatedSteps, deploymentSteps, FLOWS, judge, manualSteps } from '../../../conductor/drive/steps.ts';

const STEP = { step: 'erase_devices', interface: 'deploy', reboot_requested: false };
const command = (command_name: string, command_status: string, command_result: unknown = null) =>
  ({ id: '1', command_name, command_status, command_result }) as never;
const steps = command('get_clean_steps', 'SUCCEEDED');
const done = (step: object) => command('execute_clean_step', 'SUCCEEDED', { clean_result: null, clean_step: step });

describe('judge', () => {
  test.each([
    ['nothing was begun', [], undefined, false, 'next'],
    ['only the step list was asked for', [steps], undefined, false, 'next'],
    ['the step was written down and never sent', [steps], STEP, false, 'send'],
    [
      'a step that wanted a reboot is followed by an empty history',
      [],
      { ...STEP, reboot_requested: true },
      true,
      'next',
    ],
    ['an accepted step is gone', [steps], STEP, true, 'lost'],
    ['it runs', [steps, command('execute_clean_step', 'RUNNING')], STEP, true, 'wait'],
    ['it is done', [steps, done(STEP)], STEP, true, 'done'],
    ['another step is done, and this one was accepted', [done({ ...STEP, step: 'other' })], STEP, true, 'wait'],
    ['another step is done, and this one was not sent', [done({ ...STEP, step: 'other' })], STEP, false, 'send'],
    ['it failed', [command('execute_clean_step', 'FAILED')], STEP, true, 'failed'],
    ['versions differ', [command('execute_clean_step', 'CLEAN_VERSION_MISMATCH')], STEP, true, 'mismatch'],
    ['versions differ, in newer words', [command('execute_clean_step', 'VERSION_MISMATCH')], STEP, true, 'mismatch'],
    ['another command came last', [done(STEP), command('get_partition_uuids', 'SUCCEEDED')], STEP, true, 'wait'],
    ['full names are used', [command('clean.get_clean_steps', 'SUCCEEDED')], undefined, false, 'next'],
  ])('%s', (_name, commands, current, accepted, kind) => {
    expect(judge(FLOWS.clean, commands, current, accepted).kind).toBe(kind);
  });

  test('a running command is found to be accepted even if that was not written down', () => {
    const verdict = judge(FLOWS.clean, [command('execute_clean_step', 'RUNNING')], STEP, false);
    expect(verdict).toEqual({ kind: 'wait', accepted: true });
  });

  test('never goes on to the next step while the last command runs', () => {
    const status = fc.constantFrom('RUNNING', 'SUCCEEDED', 'FAILED', 'CLEAN_VERSION_MISMATCH');
    const name = fc.constantFrom('get_clean_steps', 'execute_clean_step', 'power_off', 'sync');
    const entry = fc.record({
      id: fc.string(),
      command_name: name,
      command_status: status,
      command_result: fc.constantFrom(null, { clean_step: STEP }),
    });
    fc.assert(
      fc.property(fc.array(entry), fc.boolean(), (commands, accepted) => {
        const running = command('execute_clean_step', 'RUNNING');
        expect(judge(FLOWS.clean, [...(commands as never[]), running], STEP, accepted).kind).toBe('wait');
      }),
    );
  });
});

describe('step lists', () => {
  test('automated cleaning runs by priority, and leaves out what has none', () => {
    const offered = [
      { ...STEP, priority: 10 },
      { ...STEP, step: 'metadata', priority: 99 },
      { ...STEP, step: 'express', priority: 0 },
    ];
    expect(automatedSteps(offered).map((step) => step.step)).toEqual(['metadata', 'erase_devices']);
  });

  test("a deployment has the conductor's steps, with the agent's own in between", () => {
    const own = { step: 'inject_files', interface: 'deploy', priority: 70 };
    const offered = [
      own,
      { step: 'write_image', interface: 'deploy', priority: 0 },
      { step: 'raid', interface: 'raid', priority: 0 },
    ];
    expect(deploymentSteps(offered).map((step) => [step.step, step.by])).toEqual([
      ['write_image', 'agent'],
      ['inject_files', 'agent'],
      ['prepare_instance_boot', 'conductor'],
      ['tear_down_agent', 'conductor'],
      ['boot_instance', 'conductor'],
    ]);
  });

  test('chosen steps keep their order and arguments, and take over what the agent says', () => {
    const offered = [{ ...STEP, priority: 10, reboot_requested: true }];
    expect(manualSteps([{ step: 'erase_devices', interface: 'deploy', args: { a: 1 } }], offered)).toEqual([
      { ...offered[0], args: { a: 1 }, by: 'agent' },
    ]);
    expect(manualSteps([{ step: 'x', interface: 'raid' }], offered)).toBe('the agent has no clean step raid.x');
  });
});
