import { describe, expect, test, vi } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import type { StepSpec } from '../../../agent/engine/command-table.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { listSteps, stepCommands } from '../../../agent/engine/steps.ts';
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
];

const node = { uuid: 'n-1', properties: { a: 1 } };

function setup() {
  const cached = vi.fn<(deps: Deps, node: unknown) => void>();
  const runner = createRunner<Deps>({
    commands: stepCommands(STEPS, cached),
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
