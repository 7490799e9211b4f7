import { describe, expect, test, vi } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import type { StepManager, StepSpec } from '../../../agent/engine/command-table.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { listSteps } from '../../../agent/engine/managers.ts';
import { stepCommands } from '../../../agent/engine/steps.ts';
import { Failure } from '../../../system/failure.ts';

type Deps = { node: unknown };

const STEPS: StepSpec<Deps>[] = [
  {
    step: 'erase_devices_metadata',
    interface: 'deploy',
    priorities: { clean: 99, deploy: 0 },
    abortable: true,
    run: async () => undefined,
  },
  {
    step: 'write_image',
    interface: 'deploy',
    priorities: { deploy: 0 },
    argsinfo: {
      image_info: { description: 'the image', required: true },
      configdrive: { description: 'the config drive', required: false },
    },
    run: async (_deps, { args }) => args,
  },
  {
    step: 'explode',
    interface: 'deploy',
    priorities: { clean: 0, deploy: 0, service: 0 },
    run: async () => {
      throw new RangeError('too far');
    },
  },
  {
    step: 'refuse',
    interface: 'deploy',
    priorities: { clean: 0 },
    run: async () => {
      throw new Failure('X', 'cannot erase /dev/sda: it is mounted', { hint: 'unmount it' });
    },
  },
  {
    step: 'typed',
    interface: 'deploy',
    priorities: { clean: 0 },
    run: async () => {
      throw new AgentError('ProtectedDeviceError', 'GFS2 on /dev/sdb');
    },
  },
  {
    step: 'partly',
    interface: 'deploy',
    priorities: { clean: 0 },
    run: async () => {
      throw new AgentError('BlockDeviceEraseError', 'one of two', { result: { '/dev/sda': 'evidence' } });
    },
  },
];

const node = { uuid: 'n-1', properties: { a: 1 } };

const GENERIC: StepManager<Deps> = {
  name: 'generic_hardware_manager',
  version: '1.2',
  className: 'GenericHardwareManager',
  support: 1,
  steps: async () => STEPS,
};

function setup(managers: readonly StepManager<Deps>[] = [GENERIC]) {
  const cached = vi.fn<(deps: Deps, node: unknown) => void>();
  const runner = createRunner<Deps>({
    commands: stepCommands({ managers: () => managers, cacheNode: cached }),
    deps: { node: undefined },
    signal: new AbortController().signal,
    log: () => undefined,
  });
  const execute = (kind: string, step: unknown, more: object = {}) =>
    runner.execute(`${kind}.execute_${kind}_step`, { step, node, ports: [], ...more }, true);
  return { runner, cached, execute };
}

describe('get steps', () => {
  test('lists the steps of the kind in the shape that the conductor caches', async () => {
    const { runner, cached } = setup();
    const result = await runner.execute('deploy.get_deploy_steps', { node, ports: [{ address: 'x' }] });
    expect(result).toMatchObject({ command_name: 'get_deploy_steps', command_status: 'SUCCEEDED' });
    expect(result.command_result).toEqual({
      deploy_steps: {
        GenericHardwareManager: [
          {
            step: 'erase_devices_metadata',
            priority: 0,
            interface: 'deploy',
            reboot_requested: false,
            abortable: true,
          },
          {
            step: 'write_image',
            priority: 0,
            interface: 'deploy',
            reboot_requested: false,
            abortable: false,
            argsinfo: STEPS[1]?.argsinfo,
          },
          { step: 'explode', priority: 0, interface: 'deploy', reboot_requested: false, abortable: false },
        ],
      },
      hardware_manager_version: { generic_hardware_manager: '1.2' },
    });
    expect(cached).toHaveBeenCalledWith(expect.anything(), node);
  });

  test('each kind has its own', () => {
    expect(listSteps('clean', STEPS).map((step) => step.step)).toEqual([
      'erase_devices_metadata',
      'explode',
      'refuse',
      'typed',
      'partly',
    ]);
    expect(listSteps('service', STEPS).map((step) => step.step)).toEqual(['explode']);
  });
});

describe('execute step', () => {
  test('echoes the whole step and gives the result, null for none', async () => {
    const { execute, cached } = setup();
    const step = {
      step: 'erase_devices_metadata',
      interface: 'deploy',
      priority: 10,
      requires_ramdisk: true,
      args: null,
    };
    const result = await execute('clean', step, { clean_version: { generic_hardware_manager: '1.2' } });
    expect(result.command_result).toEqual({ clean_result: null, clean_step: step });
    expect(cached).toHaveBeenCalledWith(expect.anything(), node);
  });

  test('hands args and further parameters to the step', async () => {
    const { execute } = setup();
    const step = { step: 'write_image', interface: 'deploy', args: { image_info: { id: 'x' } } };
    const result = await execute('deploy', step, { deploy_version: null, configdrive: 'H4s' });
    expect(result.command_result).toMatchObject({ deploy_result: { image_info: { id: 'x' }, configdrive: 'H4s' } });
  });

  test('another version is CLEAN_VERSION_MISMATCH, before the step does anything', async () => {
    const { execute } = setup();
    const result = await execute('clean', { step: 'explode' }, { clean_version: { generic_hardware_manager: '1.1' } });
    expect(result.command_status).toBe('CLEAN_VERSION_MISMATCH');
    expect(result.command_error).toMatchObject({ type: 'VersionMismatch', code: 409 });
  });

  test.each([
    ['clean', 'CleaningError'],
    ['deploy', 'DeploymentError'],
    ['service', 'ServicingError'],
  ])('an unexpected error of a %s step is a %s with its class', async (kind, type) => {
    const result = await setup().execute(kind, { step: 'explode' });
    expect(result.command_error).toMatchObject({ type, details: 'step explode failed: RangeError: too far' });
  });

  test('a failure keeps its words and its hint, a typed error its type', async () => {
    const { execute } = setup();
    expect((await execute('clean', { step: 'refuse' })).command_error).toMatchObject({
      type: 'CleaningError',
      details: 'step refuse failed: cannot erase /dev/sda: it is mounted; try: unmount it',
    });
    expect((await execute('clean', { step: 'typed' })).command_error?.type).toBe('ProtectedDeviceError');
  });

  test('a failure brings along what was done all the same, in the form of a result', async () => {
    const { execute } = setup();
    const partly = await execute('clean', { step: 'partly', interface: 'deploy' });
    expect(partly).toMatchObject({
      command_status: 'FAILED',
      command_error: { type: 'BlockDeviceEraseError', details: 'one of two' },
      command_result: { clean_result: { '/dev/sda': 'evidence' }, clean_step: { step: 'partly', interface: 'deploy' } },
    });
    const typed = await execute('clean', { step: 'typed' });
    expect(typed.command_result).toBeNull();
  });

  test('a step of another kind, or of none, is not found', async () => {
    const { execute } = setup();
    for (const step of ['write_image', 'constructor', 'nosuch']) {
      const result = await execute('clean', { step });
      expect(result.command_error?.type).toBe('HardwareManagerMethodNotFound');
      expect(result.command_error?.details).toContain(`cannot run clean step ${step}`);
    }
  });

  test('unknown and missing arguments are named', async () => {
    const result = await setup().execute('deploy', { step: 'write_image', args: { image: 1 } });
    expect(result.command_error).toMatchObject({
      type: 'DeploymentError',
      details:
        'cannot run step write_image: unknown argument image; missing argument image_info; its arguments are: image_info, configdrive',
    });
  });

  test('a step that is no object is refused before the command starts', async () => {
    const { runner } = setup();
    await expect(runner.execute('clean.execute_clean_step', { step: 'x', node, ports: [] })).rejects.toThrow(
      'Invalid command parameters: cannot run execute_clean_step: step must be object',
    );
    await expect(runner.execute('clean.execute_clean_step', { step: {}, node, ports: [] })).rejects.toThrow('step');
  });
});

describe('steps of several managers', () => {
  const manager = (
    name: string,
    support: number,
    steps: Record<string, { clean?: number; deploy?: number; run?: StepSpec<Deps>['run'] }>,
  ): StepManager<Deps> => ({
    name,
    version: `v${support}`,
    className: name,
    support,
    steps: async () =>
      Object.entries(steps).map(([step, { run, ...priorities }]) => ({
        step,
        interface: 'deploy',
        priorities,
        run: run ?? (async () => `by ${name}`),
      })),
  });
  const incompatible = async () => {
    throw new AgentError('IncompatibleHardwareMethodError', 'other firmware');
  };
  const listed = async (managers: StepManager<Deps>[]) => {
    const { runner } = setup(managers);
    const { command_result } = await runner.execute('clean.get_clean_steps', { node, ports: [] });
    const { clean_steps, hardware_manager_version } = command_result as {
      clean_steps: Record<string, { step: string }[]>;
      hardware_manager_version: unknown;
    };
    const names = Object.entries(clean_steps).map(([name, steps]) => [name, steps.map(({ step }) => step)]);
    return { clean_steps: Object.fromEntries(names) as unknown, hardware_manager_version };
  };

  test('are listed by manager, the best first, with everybody’s version', async () => {
    expect(await listed([manager('a', 1, { one: { clean: 1 } }), manager('b', 3, { two: { clean: 2 } })])).toEqual({
      clean_steps: { b: ['two'], a: ['one'] },
      hardware_manager_version: { a: 'v1', b: 'v3' },
    });
  });

  test.each([
    ['who supports the machine better', [1, 9], [3, 0], 'b'],
    ['whose priority is higher', [2, 5], [2, 6], 'b'],
    ['whose name comes first', [2, 5], [2, 5], 'a'],
  ] as const)('of one name is listed and run that of the manager %s', async (_, [s1, p1], [s2, p2], winner) => {
    const managers = [manager('b', s2, { same: { clean: p2 } }), manager('a', s1, { same: { clean: p1 } })];
    expect((await listed(managers)).clean_steps).toEqual({ [winner]: ['same'] });
    const result = await setup(managers).execute('clean', { step: 'same' });
    expect(result.command_result).toMatchObject({ clean_result: `by ${winner}` });
  });

  test('that turn out not to be for this hardware are left to the next manager', async () => {
    const better = manager('better', 3, { same: { clean: 1, run: incompatible } });
    const { execute } = setup([manager('plain', 1, { same: { clean: 1 } }), better]);
    expect((await execute('clean', { step: 'same' })).command_result).toMatchObject({ clean_result: 'by plain' });
    expect((await setup([better]).execute('clean', { step: 'same' })).command_error).toMatchObject({
      type: 'HardwareManagerMethodNotFound',
      details: 'cannot run clean step same: nobody has it for this hardware (better: other firmware)',
    });
  });

  test('that fail are not tried with the next', async () => {
    const broken = manager('broken', 3, {
      same: { clean: 1, run: () => Promise.reject(new AgentError('BlockDeviceEraseError', 'bad sector')) },
    });
    const result = await setup([manager('plain', 1, { same: { clean: 1 } }), broken]).execute('clean', {
      step: 'same',
    });
    expect(result.command_error?.type).toBe('BlockDeviceEraseError');
  });

  test('a version that one manager has lost is a mismatch', async () => {
    const { execute } = setup([manager('a', 1, { one: { clean: 1 } })]);
    const result = await execute('clean', { step: 'one' }, { clean_version: { a: 'v1', b: 'v3' } });
    expect(result.command_status).toBe('CLEAN_VERSION_MISMATCH');
  });

  test('a manager whose steps cannot be known fails the listing', async () => {
    const unknown: StepManager<Deps> = {
      ...manager('unknown', 2, {}),
      steps: () => Promise.reject(new AgentError('HardwareManagerConfigurationError', 'no YAML')),
    };
    const result = await setup([GENERIC, unknown]).runner.execute('clean.get_clean_steps', { node, ports: [] });
    expect(result).toMatchObject({
      command_name: 'clean.get_clean_steps',
      command_error: { type: 'HardwareManagerConfigurationError', code: 500, details: 'no YAML' },
    });
  });
});
