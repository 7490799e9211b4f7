import type { CommandResult } from '../../agent/api/command.ts';
import { flagOf } from '../../agent/api/flag.ts';
import type { FlowStep } from '../store/node.ts';

export type FlowName = 'clean' | 'deploy';

/** What differs between the flows that consist of steps: names on the wire, keys in the node, states. */
export const FLOWS = {
  clean: {
    working: 'cleaning',
    waiting: 'clean wait',
    getSteps: 'get_clean_steps',
    execute: 'execute_clean_step',
    stepsKey: 'clean_steps',
    indexKey: 'clean_step_index',
    stepKey: 'clean_step',
    versionKey: 'clean_version',
  },
  deploy: {
    working: 'deploying',
    waiting: 'wait call-back',
    getSteps: 'get_deploy_steps',
    execute: 'execute_deploy_step',
    stepsKey: 'deploy_steps',
    indexKey: 'deploy_step_index',
    stepKey: 'deploy_step',
    versionKey: 'deploy_version',
  },
} as const;
export type Flow = (typeof FLOWS)[FlowName];

/**
 * What this conductor does itself in a deployment, and `write_image`, which it asks the agent for. Priorities are Ironic's
 * (agent-protocol J.3); steps of the agent's own with a priority above 0 fall in between. Ironic's
 * `deploy` step (100) boots the ramdisk; here that has happened before the first step.
 */
export const DEPLOY_STEPS: readonly FlowStep[] = [
  { step: 'write_image', interface: 'deploy', priority: 80, by: 'agent' },
  { step: 'prepare_instance_boot', interface: 'deploy', priority: 60, by: 'conductor' },
  { step: 'tear_down_agent', interface: 'deploy', priority: 40, by: 'conductor' },
  { step: 'boot_instance', interface: 'deploy', priority: 20, by: 'conductor' },
];

/**
 * Steps that may be given to an agent again after its machine has lost its power in the middle: what was done needs no undoing, and
 * an overwrite goes on where it was. For others somebody has to look at the machine first.
 */
const CONTINUED_STEPS: readonly string[] = ['erase_devices', 'erase_devices_express', 'erase_devices_metadata'];

export function isContinued(step: FlowStep | undefined): boolean {
  return step?.interface === 'deploy' && CONTINUED_STEPS.includes(step.step);
}

export function stepName(step: { step: string; interface: string }): string {
  return `${step.interface}.${step.step}`;
}

function sameStep(a: FlowStep, b: { step?: unknown; interface?: unknown }): boolean {
  return a.step === b.step && a.interface === b.interface;
}

/** The steps that run by themselves, in their order: highest priority first, then by name, so that it is always the same. */
export function automatedSteps(offered: readonly FlowStep[]): FlowStep[] {
  return offered
    .filter((step) => (step.priority ?? 0) > 0)
    .toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || stepName(a).localeCompare(stepName(b)))
    .map((step) => ({ ...step, by: step.by ?? 'agent' }));
}

/** A deployment's steps: the conductor's, and the agent's own; where both have a name, the conductor's priority holds. */
export function deploymentSteps(offered: readonly FlowStep[]): FlowStep[] {
  const own = offered.filter((step) => !DEPLOY_STEPS.some((core) => sameStep(core, step)));
  return automatedSteps([...DEPLOY_STEPS, ...own]);
}

/** A step that says what it would do, and does nothing. */
export function isDryRun(step: FlowStep): boolean {
  return flagOf(step.args?.['dry_run']) === true;
}

/**
 * The chosen steps with what the agent says about each.
 * @returns or what is wrong with the first that cannot be: also one that does not know `dry_run`, and so would do what it is for
 */
export function manualSteps(chosen: readonly FlowStep[], offered: readonly FlowStep[]): FlowStep[] | string {
  const steps: FlowStep[] = [];
  for (const step of chosen) {
    const known = offered.find((one) => sameStep(one, step));
    if (known === undefined) return `the agent has no clean step ${stepName(step)}`;
    if (isDryRun(step) && !Object.hasOwn(known.argsinfo ?? {}, 'dry_run'))
      return `the step ${stepName(step)} knows no dry_run: it would change the machine`;
    steps.push({ ...known, ...step, by: 'agent' });
  }
  return steps;
}

/** What the agent's command history says about the current step. */
export type Verdict =
  | { kind: 'next' }
  /** The agent has not had the step yet: the conductor was ended between writing it down and sending it. */
  | { kind: 'send' }
  | { kind: 'wait'; accepted: boolean }
  | { kind: 'done' }
  | { kind: 'failed'; result: CommandResult }
  | { kind: 'mismatch' }
  /** The machine was restarted behind our back. */
  | { kind: 'lost' };

/**
 * Judges by the last command only, as Ironic does (`agent_base.process_next_step`).
 * @param current the step that should run or have run, undefined before the first
 * @param accepted whether the agent is known to have taken it
 */
export function judge(
  flow: Flow,
  commands: readonly Pick<CommandResult, 'command_name' | 'command_status' | 'command_result' | 'id'>[],
  current: FlowStep | undefined,
  accepted: boolean,
): Verdict {
  const unsent: Verdict = accepted ? { kind: 'wait', accepted } : { kind: 'send' };
  // Some agents give the full name when a sync command failed.
  const isA = (name: string, short: string) => name === short || name.endsWith(`.${short}`);
  if (commands.every((command) => isA(command.command_name, flow.getSteps))) {
    if (current === undefined) return { kind: 'next' };
    if (!accepted) return { kind: 'send' };
    // Freshly booted. After a step that asked for the reboot this is its end; else its work is gone with the memory.
    return current.reboot_requested === true ? { kind: 'next' } : { kind: 'lost' };
  }
  const last = commands.at(-1);
  if (last === undefined || current === undefined || !isA(last.command_name, flow.execute)) return unsent;
  switch (last.command_status as string) {
    case 'RUNNING':
      return { kind: 'wait', accepted: true };
    case 'SUCCEEDED': {
      const echoed = (last.command_result as Record<string, unknown> | null)?.[flow.stepKey] as FlowStep | undefined;
      return echoed !== undefined && echoed !== null && sameStep(current, echoed) ? { kind: 'done' } : unsent;
    }
    case 'CLEAN_VERSION_MISMATCH':
    case 'VERSION_MISMATCH':
      return { kind: 'mismatch' };
    default:
      return { kind: 'failed', result: last as CommandResult };
  }
}
