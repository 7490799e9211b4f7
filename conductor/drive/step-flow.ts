import type { CommandResult } from '../../agent/api/command.ts';
import { Failure } from '../../system/failure.ts';
import type { FlowStep, JsonObject, NodeRecord } from '../store/node.ts';
import { nodeParams, withAgent } from './agent-use.ts';
import { commandErrorText } from './agent-client.ts';
import type { DriveDeps } from './deps.ts';
import { keepEvidence } from './evidence.ts';
import { driveFailure } from './failures.ts';
import { type InfoChange, setInfo, transition } from './node-change.ts';
import { offeredSteps } from './offered-steps.ts';
import { bootRamdisk } from './power.ts';
import { keepResult } from './step-results.ts';
import { type Flow, type FlowName, FLOWS, isContinued, judge, stepName } from './steps.ts';

/** What cleaning and deployment each do in their own way. */
export type FlowParts = {
  /** The flow's steps, from those that the agent offers. */
  chooseSteps: (node: NodeRecord, offered: readonly FlowStep[]) => FlowStep[];
  /** `args` of a step that the agent is asked for; `configdrive` is shown to it in the node. */
  argumentsOf: (
    node: NodeRecord,
    step: FlowStep,
  ) => { args?: JsonObject | undefined; configdrive?: string | undefined };
  /** A step of the conductor's own. Done again from its start when the conductor was killed in it. */
  runOwnStep: (uuid: string, step: FlowStep, signal: AbortSignal) => Promise<void>;
  /** After the last step. */
  finish: (uuid: string, signal: AbortSignal) => Promise<void>;
  /** Whether the whole list starts anew when the agent's hardware managers have changed; else the current step does. */
  restartsOnMismatch: (node: NodeRecord) => boolean;
};

/** What a flow leaves behind in driver_internal_info, gone at its start and at its end. */
export const FORGET_FLOW: InfoChange = {
  clean_steps: undefined,
  clean_step_index: undefined,
  deploy_steps: undefined,
  deploy_step_index: undefined,
  hardware_manager_version: undefined,
  ingot_manual_clean_steps: undefined,
  ingot_agent_steps_known: undefined,
  ingot_step_accepted: undefined,
  ingot_step_refetches: undefined,
  ingot_power_losses: undefined,
  ingot_inventory_received: undefined,
};

const MAX_REFETCHES = 3;
/** Power that goes away again and again is a fault of its own. */
const MAX_POWER_LOSSES = 3;

export type FlowRunner = {
  flow: Flow;
  /** The agent of a waiting node has come, has finished something, or is asked again. */
  proceed: (uuid: string, signal: AbortSignal) => Promise<void>;
  /** A working node after a restart of the conductor. */
  resume: (uuid: string, signal: AbortSignal) => Promise<void>;
  /** The machine of a waiting node has lost its power, or was restarted, with all that its agent knew. */
  afterPowerLoss: (uuid: string, signal: AbortSignal) => Promise<void>;
};

function currentStep(flow: Flow, node: NodeRecord): FlowStep | undefined {
  const info = node.driver_internal_info;
  const index = info[flow.indexKey];
  return index === undefined ? undefined : info[flow.stepsKey]?.[index];
}

/** What a step returned; of one that failed, what it had done by then. */
function stepResult(name: FlowName, command: Pick<CommandResult, 'command_result'> | undefined): unknown {
  return (command?.command_result as JsonObject | null | undefined)?.[`${name}_result`];
}

/** @param startPolling called when a command runs in the agent */
export function createFlowRunner(
  deps: DriveDeps,
  name: FlowName,
  parts: FlowParts,
  startPolling: (uuid: string) => void,
): FlowRunner {
  const flow = FLOWS[name];

  const learnSteps = async (uuid: string, signal: AbortSignal): Promise<void> => {
    const node = deps.store.getNode(uuid);
    const { steps, version } = await offeredSteps(deps, flow, name, node, signal);
    const chosen = parts.chooseSteps(node, steps);
    setInfo(deps, uuid, { [flow.stepsKey]: chosen, hardware_manager_version: version, ingot_agent_steps_known: true });
    deps.log.info({ node: node.name ?? uuid, steps: chosen.map((step) => stepName(step)).join(', ') }, 'steps');
  };

  /** Gives the current step to the agent. @returns false when the agent is busy: then it is sent later */
  const send = async (uuid: string, step: FlowStep, signal: AbortSignal): Promise<boolean> => {
    const node = deps.store.getNode(uuid);
    const { args, configdrive } = parts.argumentsOf(node, step);
    const { by: _, ...asked } = step;
    const params = {
      step: { ...asked, ...(args && { args }) },
      ...nodeParams(deps, uuid, configdrive),
      [flow.versionKey]: node.driver_internal_info.hardware_manager_version ?? null,
    };
    try {
      const result = await withAgent(deps, node, (agent) =>
        agent.execute(`${name}.${flow.execute}`, params, { wait: false, signal }),
      );
      if (result.command_status === 'FAILED') {
        throw driveFailure('STEP_FAILED', `${name} step ${stepName(step)}: ${commandErrorText(result)}`);
      }
      return true;
    } catch (error) {
      if (error instanceof Failure && error.code === 'AGENT_BUSY') return false;
      throw error;
    }
  };

  /** Runs steps from the given one until the agent has one to chew on, or there is none left. */
  const runFrom = async (uuid: string, start: number, signal: AbortSignal): Promise<void> => {
    const steps = deps.store.getNode(uuid).driver_internal_info[flow.stepsKey] ?? [];
    for (let index = start; index < steps.length; index++) {
      const step = steps[index];
      if (step === undefined) break;
      deps.store.updateNode(uuid, (node) => ({
        [flow.stepKey]: step,
        driver_internal_info: { ...node.driver_internal_info, [flow.indexKey]: index, ingot_step_accepted: false },
      }));
      deps.log.info({ node: deps.store.getNode(uuid).name ?? uuid, step: stepName(step), by: step.by }, 'step');
      if (step.by === 'conductor') await parts.runOwnStep(uuid, step, signal);
      else {
        const accepted = await send(uuid, step, signal);
        transition(deps, uuid, 'wait', { info: { ingot_step_accepted: accepted } });
        startPolling(uuid);
        return;
      }
    }
    // Written down first: a conductor that is killed while the machine is switched off must not wait for its agent again.
    setInfo(deps, uuid, { [flow.indexKey]: steps.length });
    await parts.finish(uuid, signal);
    deps.store.updateNode(uuid, { [flow.stepKey]: {} });
  };

  const relearn = async (uuid: string, signal: AbortSignal): Promise<void> => {
    const node = deps.store.getNode(uuid);
    const info = node.driver_internal_info;
    const refetches = (info.ingot_step_refetches ?? 0) + 1;
    if (refetches > MAX_REFETCHES) throw driveFailure('VERSION_CHANGES', `${name} of ${node.name ?? uuid}`);
    setInfo(deps, uuid, { ingot_step_refetches: refetches });
    await learnSteps(uuid, signal);
    await runFrom(uuid, parts.restartsOnMismatch(node) ? 0 : (info[flow.indexKey] ?? 0), signal);
  };

  const reboot = async (uuid: string, signal: AbortSignal): Promise<void> => {
    await bootRamdisk(deps, uuid, 'agent', signal);
    transition(deps, uuid, 'wait');
  };

  const proceed = async (uuid: string, signal: AbortSignal): Promise<void> => {
    const node = deps.store.getNode(uuid);
    const info = node.driver_internal_info;
    if (info.ingot_agent_steps_known !== true) {
      transition(deps, uuid, 'resume');
      await learnSteps(uuid, signal);
      return runFrom(uuid, 0, signal);
    }
    const commands = await withAgent(deps, node, (agent) => agent.listCommands({ signal }));
    const current = currentStep(flow, node);
    const index = info[flow.indexKey] ?? -1;
    const verdict = judge(flow, commands, current, info.ingot_step_accepted === true);
    const what = `${name} step ${current ? stepName(current) : 'none'}`;
    switch (verdict.kind) {
      case 'wait':
        if (verdict.accepted && info.ingot_step_accepted !== true) setInfo(deps, uuid, { ingot_step_accepted: true });
        return startPolling(uuid);
      case 'failed': {
        // Of several disks some may be erased, and of those that are not it says why.
        const doubt = await keepEvidence(deps, node, stepResult(name, verdict.result)).catch((error: unknown) => {
          if (error instanceof Failure) return `; ${error.message}`;
          throw error;
        });
        throw driveFailure('STEP_FAILED', `${what}: ${commandErrorText(verdict.result)}${doubt ?? ''}`);
      }
      case 'lost':
        throw driveFailure('STEP_LOST', what);
      case 'mismatch':
        transition(deps, uuid, 'resume');
        return relearn(uuid, signal);
      case 'send':
        transition(deps, uuid, 'resume');
        return runFrom(uuid, Math.max(index, 0), signal);
      case 'done':
        if (current !== undefined) await keepResult(deps, node, current, stepResult(name, commands.at(-1)));
        deps.progress.delete(uuid);
        transition(deps, uuid, 'resume');
        return current?.reboot_requested === true ? reboot(uuid, signal) : runFrom(uuid, index + 1, signal);
      case 'next':
        transition(deps, uuid, 'resume');
        return runFrom(uuid, index + 1, signal);
    }
  };

  const resume = async (uuid: string, signal: AbortSignal): Promise<void> => {
    const node = deps.store.getNode(uuid);
    const info = node.driver_internal_info;
    const current = currentStep(flow, node);
    const index = info[flow.indexKey];
    const allDone = index !== undefined && index >= (info[flow.stepsKey]?.length ?? Infinity);
    if (current?.by === 'conductor' || allDone) return runFrom(uuid, index ?? 0, signal);
    // A step of the agent's, or none yet. With the machine on, the agent's own history says where things are.
    if (info.ingot_booting === true || info.ingot_ramdisk_started === undefined) return reboot(uuid, signal);
    transition(deps, uuid, 'wait');
    if (info.agent_url !== undefined) startPolling(uuid);
  };

  const afterPowerLoss = async (uuid: string, signal: AbortSignal): Promise<void> => {
    const node = deps.store.getNode(uuid);
    const current = currentStep(flow, node);
    if (current === undefined || !isContinued(current)) return;
    const losses = (node.driver_internal_info.ingot_power_losses ?? 0) + 1;
    if (losses > MAX_POWER_LOSSES) throw driveFailure('POWER_LOST', `${name} step ${stepName(current)}`);
    deps.log.warn({ node: node.name ?? uuid, step: stepName(current), losses }, 'power was lost; the step goes on');
    deps.progress.delete(uuid);
    // Written down first: a conductor that is killed now boots the machine, too, and gives the step again.
    transition(deps, uuid, 'resume', {
      info: { ingot_power_losses: losses, ingot_step_accepted: false, ingot_booting: true },
    });
    await reboot(uuid, signal);
  };

  return { flow, proceed, resume, afterPowerLoss };
}
