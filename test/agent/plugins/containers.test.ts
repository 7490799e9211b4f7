import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type AgentConfig, makeConfig } from '../../../agent/config/config.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import { stepCommands } from '../../../agent/engine/steps.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { systemFiles } from '../../../agent/os/files.ts';
import { type ContainerDeps, findContainers } from '../../../agent/plugins/containers.ts';
import { systemFollow } from '../../../system/follow.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeOs } from '../../fakes/agent-os.ts';

// A real program stands for podman: it writes down how it was called.

const IMAGE = 'registry.example.com/tool@sha256:12';
const node = { uuid: 'n-1' };
let folder: string;
let os: AgentOs;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-containers-'));
  await writeFile(
    join(folder, 'podman'),
    `#!/bin/sh
echo "$*" >>${folder}/calls
case "$*" in
  *broken*) echo "no such image" >&2; exit 125 ;;
  run*) echo "the container says hello" ;;
esac
`,
  );
  await chmod(join(folder, 'podman'), 0o755);
  os = fakeOs({
    files: systemFiles,
    run: (file, args, options) => systemRun(join(folder, file), args, options),
    follow: (file, args, options) => systemFollow(join(folder, file), args, options),
  });
});
afterEach(() => rm(folder, { recursive: true }));

async function setup(config: Partial<AgentConfig> = {}, yaml?: string, taken: string[] = []) {
  const containerStepsFile = join(folder, 'steps.yaml');
  if (yaml !== undefined) await writeFile(containerStepsFile, yaml);
  const managers = await findContainers(os, new Set(taken));
  const log: string[] = [];
  const runner = createRunner<ContainerDeps>({
    commands: stepCommands({ managers: () => managers, cacheNode: () => undefined }),
    deps: { os, config: { ...makeConfig(new Map()), containerStepsFile, ...config } },
    signal: new AbortController().signal,
    log: (line) => log.push(line),
  });
  return {
    log,
    list: async (kind = 'clean') => runner.execute(`${kind}.get_${kind}_steps`, { node, ports: [] }),
    execute: (step: string, args: Record<string, unknown> = {}) =>
      runner.execute('clean.execute_clean_step', { step: { step, args }, node, ports: [] }, true),
  };
}
/** How podman was called, without the question whether it works. */
const calls = async (): Promise<string[]> =>
  (await readFile(join(folder, 'calls'), 'utf8').catch(() => ''))
    .split('\n')
    .filter((line) => line !== '' && line !== '--version');

const YAML = `
steps:
  - name: check_cables
    image: ${IMAGE}
    priority: 20
    interface: deploy
    reboot_requested: true
    abortable: false
    pull_options: ["--tls-verify=false"]
    run_options: --rm --privileged  -v /dev:/dev
  - { name: plain, image: docker.io/plain, priority: 0, interface: raid, reboot_requested: false, abortable: true }
`;

test('without podman and docker there are no container steps', async () => {
  await rm(join(folder, 'podman'));
  expect(await findContainers(os, new Set())).toEqual([]);
});

describe('steps of the file', () => {
  test('are listed beside the generic ones; their priority is that of automated cleaning', async () => {
    const { list } = await setup({}, YAML);
    const steps = async (kind: string) => {
      const result = (await list(kind)).command_result as Record<string, Record<string, Record<string, unknown>[]>>;
      return result[`${kind}_steps`]?.['ContainerHardwareManager'] ?? [];
    };
    expect(await steps('clean')).toMatchObject([
      { step: 'generic_container_step', priority: 0, interface: 'deploy', abortable: true, reboot_requested: false },
      { step: 'container_clean_step', priority: 0, argsinfo: { container_url: { required: true } } },
      { step: 'check_cables', priority: 20, interface: 'deploy', reboot_requested: true, abortable: false },
      { step: 'plain', priority: 0, interface: 'raid' },
    ]);
    for (const kind of ['deploy', 'service'])
      expect((await steps(kind)).map(({ priority }) => priority)).toEqual([0, 0, 0, 0]);
    expect((await list()).command_result).toMatchObject({
      hardware_manager_version: { ContainerHardwareManager: '2' },
    });
  });

  test('run with their own options, or those of the configuration, whatever is allowed to others', async () => {
    const { execute, log } = await setup({ containerRunOptions: ['--rm,', '--network=host'] }, YAML);
    expect((await execute('check_cables')).command_result).toMatchObject({ clean_result: null });
    expect((await execute('plain')).command_status).toBe('SUCCEEDED');
    expect(await calls()).toEqual([
      `pull --tls-verify=false ${IMAGE}`,
      `run --rm --privileged -v /dev:/dev ${IMAGE}`,
      'pull docker.io/plain',
      'run --rm, --network=host docker.io/plain',
    ]);
    expect(log).toContain('podman run: the container says hello');
  });

  test.each([
    ['steps: [', 'cannot read container steps from'],
    ['- a', 'needs a list called "steps"'],
    ['steps: 3', 'needs a list called "steps"'],
    ['steps: [{ name: a }]', 'cannot use container step a of'],
    ['steps: [{ image: a }]', 'cannot use container step number 1 of'],
    [
      `${YAML}  - { name: plain, image: b, priority: 0, interface: raid, reboot_requested: no, abortable: yes }`,
      'plain',
    ],
    [YAML.replace('check_cables', 'erase_devices_metadata'), 'there is another step erase_devices_metadata'],
    [YAML.replace('check_cables', 'container_clean_step'), 'there is another step container_clean_step'],
    [YAML.replace('priority: 20', 'priority: high'), 'check_cables'],
  ])('that cannot be used fail the list with the reason: %j', async (yaml, reason) => {
    const { list } = await setup({}, yaml, ['erase_devices_metadata']);
    const { command_error } = await list();
    expect(command_error?.type).toBe('HardwareManagerConfigurationError');
    expect(command_error?.details).toContain(reason);
  });

  test.each(['', '# nothing', 'steps:', 'other: 1'])('may be none: %j', async (yaml) => {
    expect((await (await setup({}, yaml)).list()).command_status).toBe('SUCCEEDED');
  });
});

describe('an image that somebody names', () => {
  test.each([[IMAGE], [`docker://${IMAGE}`], [`oci://${IMAGE}`]])(
    '%s runs when it is allowed, with the configuration’s options',
    async (image) => {
      const { execute } = await setup({ allowedContainers: [IMAGE], containerPullOptions: ['--quiet'] });
      const options = { pull_options: '--tls-verify=false', run_options: ['--privileged'] };
      expect((await execute('generic_container_step', { container_url: image, ...options })).command_status).toBe(
        'SUCCEEDED',
      );
      expect(await calls()).toEqual([`pull --quiet ${image}`, `run --rm --network=host ${image}`]);
    },
  );

  test.each([
    [`${IMAGE}3`],
    ['registry.example.com/tool'],
    [`containers-storage:${IMAGE}`],
    [`docker://docker://${IMAGE}`],
    [IMAGE.toUpperCase()],
  ])('%s does not run when it is not', async (image) => {
    const { execute } = await setup({ allowedContainers: [IMAGE] });
    for (const step of ['generic_container_step', 'container_clean_step'])
      expect((await execute(step, { container_url: image })).command_error).toMatchObject({
        type: 'ContainerNotPermittedError',
        code: 500,
        message: 'Container image not permitted',
        details: expect.stringContaining(`Container image ${image} is not in [container]allowed_containers`) as string,
      });
    expect(await calls()).toEqual([]);
  });

  test('runs with any options where arbitrary ones are allowed; the old name of the step does, too', async () => {
    const { execute } = await setup({ allowArbitraryContainers: true });
    await execute('container_clean_step', { container_url: 'a', run_options: '--rm --privileged', pull_options: null });
    expect(await calls()).toEqual(['pull a', 'run --rm --privileged a']);
  });

  test.each([[3], [''], ['--privileged'], [null]])('that is %j is no image', async (image) => {
    const { execute } = await setup({ allowArbitraryContainers: true });
    const { command_error } = await execute('generic_container_step', { container_url: image });
    expect(command_error?.type).toBe('InvalidCommandParamsError');
    expect(await calls()).toEqual([]);
  });

  test('that cannot be pulled fails the step with podman’s words, and does not tell the options', async () => {
    const { execute } = await setup({ allowArbitraryContainers: true });
    const args = { container_url: 'broken', pull_options: '--creds=me:secret' };
    const { command_error } = await execute('generic_container_step', args);
    expect(command_error).toMatchObject({
      type: 'CleaningError',
      details: expect.stringContaining('podman pull broken ended with 125: no such image') as string,
    });
    expect(JSON.stringify(command_error)).not.toContain('secret');
  });

  test('a runner that is configured and not there is named', async () => {
    const { execute } = await setup({ allowArbitraryContainers: true, containerRunner: 'docker' });
    expect((await execute('generic_container_step', { container_url: 'a' })).command_error).toMatchObject({
      type: 'HardwareManagerConfigurationError',
      details: expect.stringContaining('cannot run containers by docker') as string,
    });
  });
});
