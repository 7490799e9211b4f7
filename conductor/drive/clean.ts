import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { transition } from './node-change.ts';
import { switchOff } from './power.ts';
import { type FlowParts, FORGET_FLOW } from './step-flow.ts';
import { automatedSteps, isDryRun, manualSteps } from './steps.ts';

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
      throw driveFailure('CLEAN_REQUEST', steps, {
        hint: `it offers ${offered.map((step) => `${step.interface}.${step.step}`).join(', ')}`,
      });
    },
    argumentsOf: () => ({}),
    // Every clean step runs in the ramdisk.
    runOwnStep: async () => undefined,
    finish: async (uuid, signal) => {
      await switchOff(deps, uuid, signal);
      const node = deps.store.getNode(uuid);
      const isManual = node.target_provision_state === 'manageable';
      // An erase that was cut off goes on by its nonce; that somebody has looked at the plan meanwhile is no end of it.
      const wasDry = node.driver_internal_info.clean_steps?.every(isDryRun) === true;
      transition(deps, uuid, isManual ? 'manage' : 'done', {
        target_provision_state: null,
        clean_step: {},
        info: { ...FORGET_FLOW, ...(!wasDry && { ingot_evidence_nonce: undefined }) },
      });
    },
    restartsOnMismatch: (node) => node.driver_internal_info.ingot_manual_clean_steps === undefined,
  };
}
