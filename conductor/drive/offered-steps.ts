import type { FlowStep, JsonObject, NodeRecord } from '../store/node.ts';
import { nodeParams, succeeded, withAgent } from './agent-use.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import type { Flow, FlowName } from './steps.ts';

/** Asks the agent for its steps. @returns them in one list, and the versions of what offers them */
export async function offeredSteps(deps: DriveDeps, flow: Flow, name: FlowName, node: NodeRecord, signal: AbortSignal) {
  const command = `${name}.${flow.getSteps}`;
  const result = await withAgent(deps, node, (agent) =>
    agent.execute(command, nodeParams(deps, node.uuid), { wait: true, signal }),
  );
  const content = succeeded(result, command).command_result as JsonObject | null;
  const lists = content?.[flow.stepsKey];
  const version = content?.['hardware_manager_version'];
  if (typeof lists !== 'object' || lists === null || typeof version !== 'object' || version === null) {
    throw driveFailure('AGENT_ANSWER', `its answer to ${command} lacks ${flow.stepsKey} or hardware_manager_version`);
  }
  const steps = Object.values(lists as Record<string, unknown>).flat() as FlowStep[];
  const nameless = steps.find((step) => typeof step?.step !== 'string' || typeof step.interface !== 'string');
  if (nameless !== undefined) throw driveFailure('AGENT_ANSWER', `${command} gave a step without step or interface`);
  return { steps, version: version as JsonObject };
}
