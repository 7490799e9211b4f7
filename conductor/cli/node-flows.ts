import { usageFailure } from '../../cli/options.ts';
import { plansText, type StepPlan } from '../../cli/plans.ts';
import type { Program } from '../../cli/program.ts';
import { type Client, connect, type NodeJson, nodePath } from './client.ts';
import { defineCommand } from '../../cli/command.ts';
import { API_OPTIONS, WAIT_OPTIONS } from './shared-options.ts';
import { oneNode } from './node-records.ts';
import { printJson } from './show.ts';
import { type Goal, waitForNode, type WaitValues } from './wait.ts';

export const GOALS = {
  manage: { what: 'verifying its BMC', states: ['manageable'], failedStates: ['enroll', 'error'] },
  inspect: { what: 'inspection', states: ['manageable'], failedStates: ['inspect failed'] },
  provide: { what: 'cleaning', states: ['available'], failedStates: ['clean failed', 'manageable'] },
  clean: { what: 'manual cleaning', states: ['manageable'], failedStates: ['clean failed'] },
  active: { what: 'deployment', states: ['active'], failedStates: ['deploy failed'] },
  rebuild: { what: 'deployment', states: ['active'], failedStates: ['deploy failed'] },
  deleted: { what: 'undeployment', states: ['available'], failedStates: ['clean failed', 'error'] },
} as const satisfies Record<string, Goal>;
type Target = keyof typeof GOALS;

export async function request(
  client: Client,
  ident: string,
  target: Target | 'abort',
  more: object = {},
): Promise<void> {
  await client.send('PUT', `${nodePath(ident)}/states/provision`, { target, ...more });
}

/** Prints where a node is in the end, or that the conductor has taken over. */
export function printOutcome({ stdout }: Program, node: NodeJson, json: boolean, waited: boolean): void {
  if (json) printJson(stdout, node);
  else if (waited) stdout.write(`node ${node.name ?? node.uuid} is ${node.provision_state}\n`);
  else
    stdout.write(
      `node ${node.name ?? node.uuid} is on its way; ingot node show ${node.name ?? node.uuid} tells how far it is\n`,
    );
}

/** Asks for a change of state and, unless told otherwise, waits for its end. */
export async function requestAndWait(
  program: Program,
  client: Client,
  ident: string,
  target: Target,
  values: WaitValues,
  more: object = {},
): Promise<number> {
  await request(client, ident, target, more);
  const waits = !values['no-wait'];
  const node = waits ? await waitForNode(program, client, ident, GOALS[target], values) : await client.node(ident);
  printOutcome(program, node, values.json, waits);
  return 0;
}

const FLOW_OPTIONS = { ...API_OPTIONS, ...WAIT_OPTIONS };

export const manageCommand = defineCommand({
  summary: "Verifies a node's BMC, or takes it back from available or from a failure.",
  usage: 'NODE',
  options: FLOW_OPTIONS,
  run: (program, values, positionals) =>
    requestAndWait(program, connect(values.api, program.signal), oneNode(positionals), 'manage', values),
});

/** Failed states lead on through `manage`, which does nothing to the machine. */
async function backToManageable(program: Program, client: Client, ident: string, values: WaitValues): Promise<void> {
  const { provision_state: state } = await client.node(ident);
  if (!['enroll', 'available', 'clean failed', 'inspect failed'].includes(state)) return;
  await request(client, ident, 'manage');
  await waitForNode(program, client, ident, GOALS.manage, values);
}

export const inspectCommand = defineCommand({
  summary: 'Boots the ramdisk to find out what the machine is made of.',
  usage: 'NODE',
  details: [
    'Works from manageable; from available, enroll and after a failure it goes to',
    'manageable first. Nothing is written to any disk.',
  ],
  options: FLOW_OPTIONS,
  run: async (program, values, positionals) => {
    const client = connect(values.api, program.signal);
    const ident = oneNode(positionals);
    await backToManageable(program, client, ident, values);
    return requestAndWait(program, client, ident, 'inspect', values);
  },
});

type CleanStep = { interface?: unknown; step?: unknown; args?: Record<string, unknown> };

function parseSteps(text: string): CleanStep[] {
  let steps: unknown;
  try {
    steps = JSON.parse(text);
  } catch {
    throw usageFailure(
      `cannot use --steps ${text}: it is no JSON`,
      `--steps '[{"interface": "deploy", "step": "erase_devices_metadata"}]'`,
    );
  }
  if (!Array.isArray(steps) || steps.length === 0)
    throw usageFailure('cannot use --steps: a list of at least one step is needed');
  return steps as CleanStep[];
}

const ERASE: CleanStep = { interface: 'deploy', step: 'erase_devices' };

/** Boots the ramdisk to ask what the steps would do. A step that knows no dry_run is refused by the conductor. */
async function dryRun(
  program: Program,
  [client, ident]: readonly [Client, string],
  steps: readonly CleanStep[],
  values: WaitValues,
): Promise<number> {
  const clean_steps = steps.map((step) => ({ ...step, args: { ...step.args, dry_run: true } }));
  await request(client, ident, 'clean', { clean_steps });
  const node = await waitForNode(program, client, ident, GOALS.clean, values);
  const plans = (node.driver_internal_info['ingot_plans'] ?? []) as StepPlan[];
  if (values.json) printJson(program.stdout, plans);
  else program.stdout.write(plansText(plans));
  return 0;
}

export const cleanCommand = defineCommand({
  summary: 'Erases what is on the disks. Ends in available, with --steps in manageable.',
  usage: 'NODE [--dry-run] [--steps \'[{"interface": "deploy", "step": "erase_devices_metadata"}]\']',
  details: [
    "Without --steps the agent's own clean steps run, highest priority first, and the",
    'node becomes available. With --steps these run and nothing else. --dry-run boots',
    'the ramdisk, prints what the steps (erase_devices unless said) would do to each',
    'disk and how long it would take, and changes nothing; it ends in manageable.',
  ],
  options: {
    ...FLOW_OPTIONS,
    'dry-run': { type: 'boolean', help: 'print what would be done to each disk, and do nothing' },
    steps: {
      type: 'string',
      placeholder: 'JSON',
      help: 'a list of steps: interface, step, and args where a step takes them',
    },
  },
  run: async (program, values, positionals) => {
    const client = connect(values.api, program.signal);
    const ident = oneNode(positionals);
    const steps = values.steps === undefined ? undefined : parseSteps(values.steps);
    if (values['dry-run'] && values['no-wait'])
      throw usageFailure('cannot use --dry-run with --no-wait: nobody would see the plan');
    await backToManageable(program, client, ident, values);
    if (values['dry-run']) return dryRun(program, [client, ident], steps ?? [ERASE], values);
    if (steps === undefined) return requestAndWait(program, client, ident, 'provide', values);
    return requestAndWait(program, client, ident, 'clean', values, { clean_steps: steps });
  },
});

export const provideCommand = defineCommand({
  summary: 'Makes a manageable node available, through automated cleaning.',
  usage: 'NODE',
  options: FLOW_OPTIONS,
  run: (program, values, positionals) =>
    requestAndWait(program, connect(values.api, program.signal), oneNode(positionals), 'provide', values),
});

export const undeployCommand = defineCommand({
  summary: 'Takes a node out of use: off, cleaned, available. What is on its disk is lost.',
  usage: 'NODE',
  options: FLOW_OPTIONS,
  run: (program, values, positionals) =>
    requestAndWait(program, connect(values.api, program.signal), oneNode(positionals), 'deleted', values),
});

export const abortCommand = defineCommand({
  summary: 'Ends what is under way on a node that waits for its ramdisk; it is switched off.',
  usage: 'NODE',
  options: API_OPTIONS,
  run: async (program, values, positionals) => {
    const client = connect(values.api, program.signal);
    const ident = oneNode(positionals);
    await request(client, ident, 'abort');
    const goal = {
      what: 'ending what was under way',
      states: ['inspect failed', 'clean failed', 'deploy failed'],
      failedStates: [],
    };
    const node = await waitForNode(program, client, ident, goal, { ...values, 'no-wait': false, timeout: undefined });
    printOutcome(program, node, values.json, true);
    return 0;
  },
});

const POWER = {
  on: 'power on',
  off: 'power off',
  reboot: 'rebooting',
  'soft-off': 'soft power off',
  'soft-reboot': 'soft rebooting',
} as const;

export const powerCommand = defineCommand({
  summary: "Switches a node's power through its BMC.",
  usage: `NODE ${Object.keys(POWER).join('|')}`,
  options: FLOW_OPTIONS,
  run: async (program, values, positionals) => {
    const [ident, wish = '', ...rest] = positionals;
    const target = Object.hasOwn(POWER, wish) ? POWER[wish as keyof typeof POWER] : undefined;
    if (ident === undefined || target === undefined || rest.length > 0) {
      throw usageFailure(
        'cannot switch the power: a node and a wish are needed',
        `ingot node power NODE ${Object.keys(POWER).join('|')}`,
      );
    }
    const client = connect(values.api, program.signal);
    const before = await client.node(ident);
    await client.send('PUT', `${nodePath(ident)}/states/power`, { target });
    // The provision state stays; what ends is the conductor's work on the node.
    const goal = { what: target, states: [before.provision_state], failedStates: [] };
    const node = values['no-wait'] ? await client.node(ident) : await waitForNode(program, client, ident, goal, values);
    if (values.json) printJson(program.stdout, node);
    else
      program.stdout.write(
        node.last_error === null ? `node ${ident} is ${node.power_state}\n` : `${node.last_error}\n`,
      );
    return node.last_error === null || values['no-wait'] ? 0 : 1;
  },
});
