import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { transition } from './node-change.ts';
import { switchOff } from './power.ts';
import { type FlowParts, FORGET_FLOW } from './step-flow.ts';
import { automatedSteps, manualSteps } from './steps.ts';

/**
 * Cleaning: the agent's own steps by priority (automated, target available) or the operator's choice (manual, target
 * manageable); then the machine is switched off.
 */
export function cleanParts(deps: DriveDeps): FlowParts {
  return {
    chooseSteps: (node, offered) => {
      const asked = node.driver_internal_info.ingot_manual_clean_steps;
      if (asked === undefined)
        return automatedSteps(
          offered.map((step) => ({
            ...step,
            priority: deps.settings.cleanPriorities[step.step] ?? step.priority ?? 0,
            requires_ramdisk: true,
          })),
        );
      const steps = manualSteps(asked, offered);
      if (typeof steps !== 'string') return steps;
      throw driveFailure('CLEAN_REQUEST', `the agent has no clean step ${steps}`, {
        hint: `it offers ${offered.map((step) => `${step.interface}.${step.step}`).join(', ')}`,
      });
    },
    argumentsOf: () => ({}),
    // Every clean step runs in the ramdisk.
    runOwnStep: async () => undefined,
    finish: async (uuid, signal) => {
      await switchOff(deps, uuid, signal);
      const isManual = deps.store.getNode(uuid).target_provision_state === 'manageable';
      transition(deps, uuid, isManual ? 'manage' : 'done', {
        target_provision_state: null,
        clean_step: {},
        info: { ...FORGET_FLOW, ingot_evidence_nonce: undefined },
      });
    },
    restartsOnMismatch: (node) => node.driver_internal_info.ingot_manual_clean_steps === undefined,
  };
}
