import { Value } from 'typebox/value';

import { AgentError } from '../api/errors.ts';
import type { AgentConfig } from '../config/config.ts';
import type { CommandContext, StepManager, StepRequest, StepSpec } from '../engine/command-table.ts';
import { reasonOf } from '../../system/failure.ts';
import type { AgentOs } from '../os/door.ts';
import {
  type ContainerStep,
  isAllowed,
  type Options,
  OptionsSchema,
  optionWords,
  readContainerSteps,
} from './container-steps.ts';

const RUNNERS = ['podman', 'docker'] as const;
/** The second is the first's old name, which is in runbooks. */
const GENERIC_STEPS = ['generic_container_step', 'container_clean_step'];
const LAST_WORDS = 8;

type Config = Pick<
  AgentConfig,
  | 'allowArbitraryContainers'
  | 'allowedContainers'
  | 'containerStepsFile'
  | 'containerRunner'
  | 'containerPullOptions'
  | 'containerRunOptions'
>;
export type ContainerDeps = { os: Pick<AgentOs, 'run' | 'follow' | 'files'>; config: Config };

async function isUsable(os: ContainerDeps['os'], runner: string): Promise<string | undefined> {
  return os.run(runner, ['--version'], { timeoutMs: 60_000 }).then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}

/** Runs `podman pull` or `podman run`; its output goes to the log. Options may be secrets (`-e PASSWORD=…`), and are not told. */
async function callRunner(
  { os, config }: ContainerDeps,
  what: 'pull' | 'run',
  options: Options,
  image: string,
  context: CommandContext,
): Promise<void> {
  const runner = config.containerRunner;
  const lastWords: string[] = [];
  context.progress({ phase: `${what} ${image}` });
  const { exitCode } = await os.follow(runner, [what, ...optionWords(options), image], {
    signal: context.signal,
    onLine: (line) => {
      lastWords.splice(0, Math.max(0, lastWords.push(line) - LAST_WORDS));
      context.log(`${runner} ${what}: ${line}`);
    },
  });
  if (exitCode === 0) return;
  throw new Error(`${runner} ${what} ${image} ended with ${exitCode ?? 'a signal'}: ${lastWords.join('\n')}`);
}

async function runContainer(
  deps: ContainerDeps,
  image: string,
  options: { pull: Options; run: Options },
  context: CommandContext,
): Promise<null> {
  const { containerRunner: runner } = deps.config;
  const problem = await isUsable(deps.os, runner);
  if (problem !== undefined)
    throw new AgentError('HardwareManagerConfigurationError', `cannot run containers by ${runner}: ${problem}`);
  await callRunner(deps, 'pull', options.pull, image, context);
  await callRunner(deps, 'run', options.run, image, context);
  return null;
}

function given(options: Options, otherwise: Options): Options {
  return optionWords(options).length > 0 ? options : otherwise;
}

function readOptions(args: Record<string, unknown>, name: string): Options {
  const value = args[name];
  if (value === undefined || Value.Check(OptionsSchema, value)) return value;
  throw new AgentError(
    'InvalidCommandParamsError',
    `cannot run a container: ${name} is neither text nor a list of texts`,
  );
}

/**
 * A container that somebody names who only has Ironic's API: its image must be allowed, and whoever may not choose the image may
 * not choose its options either (`--privileged`, `-v /:/host`).
 */
async function runGeneric(deps: ContainerDeps, { args }: StepRequest, context: CommandContext): Promise<null> {
  const { config } = deps;
  const image = args['container_url'];
  if (typeof image !== 'string' || image === '' || image.startsWith('-'))
    throw new AgentError(
      'InvalidCommandParamsError',
      'cannot run a container: container_url is not the name of an image',
    );
  const own = { pull: config.containerPullOptions, run: config.containerRunOptions };
  const [pull, run] = [readOptions(args, 'pull_options'), readOptions(args, 'run_options')];
  if (config.allowArbitraryContainers) {
    return runContainer(deps, image, { pull: given(pull, own.pull), run: given(run, own.run) }, context);
  }
  if (isAllowed(image, config.allowedContainers)) return runContainer(deps, image, own, context);
  context.log(`image ${image} is not run; allowed are: ${config.allowedContainers.join(', ') || 'none'}`);
  throw new AgentError(
    'ContainerNotPermittedError',
    `Container image ${image} is not in [container]allowed_containers and [container]allow_arbitrary_containers is not enabled.`,
  );
}

const GENERIC_SPECS: readonly StepSpec<ContainerDeps>[] = GENERIC_STEPS.map((step) => ({
  step,
  interface: 'deploy',
  priorities: { clean: 0, deploy: 0, service: 0 },
  abortable: true,
  argsinfo: {
    container_url: { description: 'Container image URL', required: true },
    pull_options: { description: 'Pull options', required: false },
    run_options: { description: 'Run options', required: false },
  },
  run: runGeneric,
}));

/** A container that whoever made the ramdisk has declared: it may be any. */
function declaredStep(step: ContainerStep): StepSpec<ContainerDeps> {
  return {
    step: step.name,
    interface: step.interface,
    priorities: { clean: step.priority, deploy: 0, service: 0 },
    rebootRequested: step.reboot_requested,
    abortable: step.abortable,
    run: (deps, _request, context) =>
      runContainer(
        deps,
        step.image,
        {
          pull: given(step.pull_options, deps.config.containerPullOptions),
          run: given(step.run_options, deps.config.containerRunOptions),
        },
        context,
      ),
  };
}

/**
 * Container steps, where podman or docker runs in this ramdisk. Which of them, and what it may run, is told by the lookup, which is
 * later: so the configuration is looked at when a step is listed or run.
 * @param taken names of everybody else's steps
 */
export async function findContainers(
  os: ContainerDeps['os'],
  taken: ReadonlySet<string>,
): Promise<StepManager<ContainerDeps>[]> {
  const problems = await Promise.all(RUNNERS.map((runner) => isUsable(os, runner)));
  if (problems.every((problem) => problem !== undefined)) return [];
  return [
    {
      name: 'ContainerHardwareManager',
      className: 'ContainerHardwareManager',
      version: '2',
      support: 2,
      steps: async (deps) => {
        const file = deps.config.containerStepsFile;
        if (!(await deps.os.files.exists(file))) return GENERIC_SPECS;
        const text = await deps.os.files.read(file);
        if (text === undefined)
          throw new AgentError('HardwareManagerConfigurationError', `cannot read container steps from ${file}`);
        const names = new Set([...taken, ...GENERIC_STEPS]);
        return [...GENERIC_SPECS, ...(await readContainerSteps(text, file, names)).map(declaredStep)];
      },
    },
  ];
}
