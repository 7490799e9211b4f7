import type { FlowStep, JsonObject, NodeRecord } from '../store/node.ts';
import { timestamp } from '../store/store.ts';
import type { DriveDeps } from './deps.ts';
import { keepEvidence } from './evidence.ts';
import { driveFailure } from './failures.ts';
import { setInfo } from './node-change.ts';
import { isDryRun, stepName } from './steps.ts';

function isConfiguration(result: unknown): result is { logical_disks: unknown[] } {
  return Array.isArray((result as { logical_disks?: unknown } | null)?.logical_disks);
}

/** Steps of the interface raid change what the node is said to have, as in Ironic (agent-protocol F.6). */
const RAID_STEPS: Readonly<Record<string, 'made' | 'deleted'>> = {
  create_configuration: 'made',
  apply_configuration: 'made',
  delete_configuration: 'deleted',
};

function keepRaid({ store, os }: DriveDeps, node: NodeRecord, step: FlowStep, result: unknown): void {
  const change = step.interface === 'raid' ? RAID_STEPS[step.step] : undefined;
  if (change === 'made') {
    if (!isConfiguration(result))
      throw driveFailure('STEP_FAILED', `${stepName(step)}: no array was made`, {
        hint: 'set target_raid_config, with the controller "software", or leave the step out',
      });
    store.updateNode(node.uuid, { raid_config: { ...result, last_updated: timestamp(os.clock.now()) } });
  }
  if (change === 'deleted')
    store.updateNode(node.uuid, ({ properties }) => {
      // It may have meant an array that is no more.
      const { root_device: _, ...rest } = properties;
      return { raid_config: {}, properties: rest };
    });
}

/**
 * Keeps what a step of the agent's has brought: evidence, the RAID configuration that is there now, or a plan.
 * @param result the step's own
 * @throws Failure when that is not what such a step has to bring
 */
export async function keepResult(deps: DriveDeps, node: NodeRecord, step: FlowStep, result: unknown): Promise<void> {
  if (!isDryRun(step)) {
    await keepEvidence(deps, node, result);
    keepRaid(deps, node, step, result);
    return;
  }
  const plans = node.driver_internal_info.ingot_plans ?? [];
  setInfo(deps, node.uuid, { ingot_plans: [...plans, { step: stepName(step), plan: result as JsonObject | null }] });
}
