import { Failure } from '../../system/failure.ts';
import type { ProvisionState, Verb } from '../states/table.ts';
import type { NodeRecord } from '../store/node.ts';
import { prepareConfigdrive } from './deploy.ts';
import type { DriveDeps } from './deps.ts';
import { finishInspection } from './inspect.ts';
import { setInfo, transition } from './node-change.ts';
import { bootRamdisk, switchOff } from './power.ts';
import { FORGET_FLOW, type FlowRunner } from './step-flow.ts';

/** Heartbeats in a row without being able to reach the agent that sends them. */
const MAX_UNREACHABLE = 3;

const AGENT_STATES = { 'clean wait': 'clean', 'wait call-back': 'deploy' } as const;

export type Flows = { clean: FlowRunner; deploy: FlowRunner };

/** Goes on after a sign from the agent; a connection that fails once or twice is not the end of a flow. */
export async function proceed(deps: DriveDeps, flows: Flows, uuid: string, signal: AbortSignal): Promise<void> {
  const state = deps.store.getNode(uuid).provision_state;
  if (state !== 'clean wait' && state !== 'wait call-back') return;
  const runner = flows[AGENT_STATES[state]];
  try {
    await runner.proceed(uuid, signal);
    if (deps.store.getNode(uuid).driver_internal_info.ingot_unreachable)
      setInfo(deps, uuid, { ingot_unreachable: undefined });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const node = deps.store.getNode(uuid);
    const misses = (node.driver_internal_info.ingot_unreachable ?? 0) + 1;
    const passes = error.code === 'AGENT_BUSY' || (error.code === 'AGENT_UNREACHABLE' && misses < MAX_UNREACHABLE);
    // In the middle of a step of the conductor's own there is no heartbeat to come back to.
    const midStep = node.provision_state === runner.flow.working && node[runner.flow.stepKey]['by'] === 'conductor';
    if (!passes || midStep) throw error;
    deps.log.warn({ node: node.name ?? uuid, why: error.message }, 'waiting for the next heartbeat');
    const info = error.code === 'AGENT_BUSY' ? {} : { ingot_unreachable: misses };
    if (node.provision_state === runner.flow.working) transition(deps, uuid, 'wait', { info });
    else setInfo(deps, uuid, info);
  }
}

/**
 * Looks why an agent with a step in its hands does not answer.
 * @returns true when its machine is off by its BMC's word, or has looked its node up once more since the agent was heard of last
 */
export async function hasLostPower(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<boolean> {
  const node = deps.store.getNode(uuid);
  const { ingot_looked_up_again: again = '', agent_last_heartbeat: last = '' } = node.driver_internal_info;
  if (Date.parse(again) > (deps.contacts.get(uuid) ?? Date.parse(last))) return true;
  try {
    return (await deps.bmcOf(node).power(signal)) === 'power off';
  } catch {
    signal.throwIfAborted();
    // The BMC may be without power, too.
    return false;
  }
}

/**
 * Goes on where power was lost, unless the node has got somewhere else in the meantime.
 * @param token of the agent whose machine it was
 */
export async function afterPowerLoss(
  deps: DriveDeps,
  flows: Flows,
  { uuid, token }: { uuid: string; token: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { provision_state: state, driver_internal_info: info } = deps.store.getNode(uuid);
  if ((state !== 'clean wait' && state !== 'wait call-back') || info.agent_secret_token !== token) return;
  await flows[AGENT_STATES[state]].afterPowerLoss(uuid, signal);
}

async function verify(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  const power = await deps.bmcOf(deps.store.getNode(uuid)).power(signal);
  deps.store.updateNode(uuid, { power_state: power === 'unknown' ? null : power });
  transition(deps, uuid, 'done', { target_provision_state: null });
}

async function startRamdiskFlow(
  deps: DriveDeps,
  uuid: string,
  purpose: 'inspect' | 'agent',
  signal: AbortSignal,
): Promise<void> {
  await bootRamdisk(deps, uuid, purpose, signal);
  transition(deps, uuid, 'wait');
}

async function tearDown(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  await switchOff(deps, uuid, signal);
  deps.store.setConfigdrive(uuid, undefined);
  transition(deps, uuid, 'clean', { instance_info: {}, instance_uuid: null, deploy_step: {}, info: FORGET_FLOW });
  await startRamdiskFlow(deps, uuid, 'agent', signal);
}

async function deploy(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  await prepareConfigdrive(deps, uuid, signal);
  await startRamdiskFlow(deps, uuid, 'agent', signal);
}

/** What a verb starts once the node is in its working state. `abort` ends what is under way instead. */
export const WORK: Record<
  Exclude<Verb, 'abort'>,
  (deps: DriveDeps, uuid: string, signal: AbortSignal) => Promise<void>
> = {
  manage: verify,
  inspect: (deps, uuid, signal) => startRamdiskFlow(deps, uuid, 'inspect', signal),
  provide: (deps, uuid, signal) => startRamdiskFlow(deps, uuid, 'agent', signal),
  clean: (deps, uuid, signal) => startRamdiskFlow(deps, uuid, 'agent', signal),
  active: deploy,
  rebuild: deploy,
  deleted: tearDown,
};

type Work = (signal: AbortSignal) => Promise<void>;

function resumeInspection(deps: DriveDeps, { uuid }: NodeRecord): Work {
  return async (signal) => {
    if (deps.store.getNode(uuid).provision_state === 'inspect wait') transition(deps, uuid, 'resume');
    await finishInspection(deps, uuid, signal);
  };
}

/** What is to be done about a node that the last conductor left in one of these states. */
const RESUME: Partial<Record<ProvisionState, (deps: DriveDeps, flows: Flows, node: NodeRecord) => Work | undefined>> = {
  verifying:
    (deps, _flows, { uuid }) =>
    (signal) =>
      verify(deps, uuid, signal),
  inspecting: (deps, _flows, node) =>
    node.driver_internal_info.ingot_inventory_received === true
      ? resumeInspection(deps, node)
      : (signal) => startRamdiskFlow(deps, node.uuid, 'inspect', signal),
  'inspect wait': (deps, _flows, node) =>
    node.driver_internal_info.ingot_inventory_received === true ? resumeInspection(deps, node) : undefined,
  cleaning:
    (_deps, flows, { uuid }) =>
    (signal) =>
      flows.clean.resume(uuid, signal),
  deploying:
    (deps, flows, { uuid }) =>
    async (signal) => {
      await prepareConfigdrive(deps, uuid, signal);
      await flows.deploy.resume(uuid, signal);
    },
  deleting:
    (deps, _flows, { uuid }) =>
    (signal) =>
      tearDown(deps, uuid, signal),
};

/** @returns what is left to do after a restart of the conductor; undefined where the node rests or waits for its agent */
export function resumeWork(deps: DriveDeps, flows: Flows, node: NodeRecord): Work | undefined {
  return RESUME[node.provision_state]?.(deps, flows, node);
}
