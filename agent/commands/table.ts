import type { CommandSpec, StepManager, StepSpec } from '../engine/command-table.ts';
import { flowCommand } from '../engine/flow.ts';
import { HARDWARE_MANAGER_VERSION, stepCommands } from '../engine/steps.ts';
import { BOOTC_STEP } from './bootc.ts';
import { BURN_IN_STEPS } from './burn-in-steps.ts';
import { DEPARTURE_COMMANDS } from './departures.ts';
import type { AgentDeps } from './deps.ts';
import { ERASE_STEPS } from './erase-steps.ts';
import { FIRMWARE_STEPS } from './firmware-steps.ts';
import { IMAGE_COMMANDS, runWriteImage } from './image.ts';
import { INJECT_FILES } from './inject-files.ts';
import { LOG_COMMANDS } from './logs.ts';
import { POLL_COMMANDS } from './poll.ts';
import { POWER_COMMANDS } from './power.ts';
import { RAID_STEPS } from './raid-steps.ts';

/** Every step that the agent has without plug-ins and containers. */
export const STEPS: readonly StepSpec<AgentDeps>[] = [
  ...ERASE_STEPS,
  ...FIRMWARE_STEPS,
  ...RAID_STEPS,
  ...BURN_IN_STEPS,
  {
    step: 'write_image',
    interface: 'deploy',
    priorities: { deploy: 0, service: 0 },
    argsinfo: {
      image_info: {
        description: 'What is written: id, urls, checksum and format of a whole-disk image.',
        required: true,
      },
      configdrive: { description: 'Base64 of gzip of a config drive, or its URL.', required: false },
    },
    run: (deps, { args }, context) => runWriteImage(deps, args, context),
  },
  INJECT_FILES,
  BOOTC_STEP,
];

/** The steps as the machine's configuration has them. */
function stepsFor(injectFilesPriority: number): readonly StepSpec<AgentDeps>[] {
  const priorities = { deploy: injectFilesPriority, service: injectFilesPriority };
  return STEPS.map((spec) => (spec === INJECT_FILES ? { ...spec, priorities } : spec));
}

/** Any machine's, by the name that IPA's steps for any machine have. */
export const GENERIC: StepManager<AgentDeps> = {
  name: 'generic_hardware_manager',
  version: HARDWARE_MANAGER_VERSION.generic_hardware_manager,
  className: 'GenericHardwareManager',
  support: 1,
  steps: async ({ config }) => stepsFor(config.injectFilesPriority),
};

/** Every command of the agent's API. */
export const COMMANDS: readonly CommandSpec<AgentDeps>[] = [
  ...stepCommands<AgentDeps>({
    managers: (deps) => deps.managers ?? [GENERIC],
    cacheNode: (deps, node) => {
      deps.node.current = node;
    },
  }),
  ...IMAGE_COMMANDS,
  ...POWER_COMMANDS,
  ...LOG_COMMANDS,
  ...POLL_COMMANDS,
  ...DEPARTURE_COMMANDS,
  flowCommand<AgentDeps>(() => COMMANDS),
];
