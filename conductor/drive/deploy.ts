import type { CommandResult } from '../../agent/api/command.ts';
import { Failure } from '../../system/failure.ts';
import type { FlowStep, JsonObject, NodeRecord } from '../store/node.ts';
import { type AgentClient, commandErrorText } from './agent-client.ts';
import { withAgent, succeeded } from './agent-use.ts';
import { buildConfigdrive, checkPackedConfigdrive } from './configdrive.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { imageInfo } from './image.ts';
import { transition } from './node-change.ts';
import { bootDisk, changePower, isUefi, recordPower } from './power.ts';
import { type FlowParts, FORGET_FLOW } from './step-flow.ts';
import { deploymentSteps, stepName } from './steps.ts';

const BOOTLOADER_POLL_MS = 1000;
/** Ironic polls 100 times every 6 s. */
const BOOTLOADER_TIMEOUT_MS = 600_000;
const POWER_OFF_POLL_MS = 2000;
/** As Ironic: six looks, five seconds apart, before the power is cut. */
const POWER_OFF_TIMEOUT_MS = 30_000;

/** Makes what was asked for as a config drive into what the agent takes, before the machine is touched. */
export async function prepareConfigdrive(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  const asked = deps.store.getConfigdrive(uuid);
  if (asked === undefined) return;
  if (typeof asked === 'string') return checkPackedConfigdrive(asked);
  deps.store.setConfigdrive(uuid, await buildConfigdrive(deps.os, deps.store.getNode(uuid), asked, signal));
}

async function waitForBootloader(
  deps: DriveDeps,
  agent: AgentClient,
  id: string,
  signal: AbortSignal,
): Promise<CommandResult> {
  for (let waitedMs = 0; ; waitedMs += BOOTLOADER_POLL_MS) {
    const command = (await agent.listCommands({ signal })).find((one) => one.id === id);
    if (command === undefined) throw driveFailure('STEP_LOST', 'install_bootloader');
    if (command.command_status !== 'RUNNING') return command;
    if (waitedMs >= BOOTLOADER_TIMEOUT_MS) {
      throw driveFailure('STEP_FAILED', `install_bootloader: it still runs after ${BOOTLOADER_TIMEOUT_MS / 1000} s`);
    }
    await deps.os.clock.sleep(BOOTLOADER_POLL_MS, signal);
  }
}

async function installBootloader(
  deps: DriveDeps,
  agent: AgentClient,
  uuids: JsonObject,
  signal: AbortSignal,
): Promise<void> {
  const params = {
    root_uuid: uuids['root uuid'] ?? null,
    efi_system_part_uuid: uuids['efi system partition uuid'] ?? null,
    prep_boot_part_uuid: null,
    target_boot_mode: 'uefi',
  };
  // After a restart of the conductor it may be running already.
  const last = (await agent.listCommands({ signal })).findLast((one) => one.command_name === 'install_bootloader');
  const started =
    last !== undefined && last.command_status !== 'FAILED'
      ? last
      : await agent.execute('image.install_bootloader', params, { wait: false, signal });
  const result = await waitForBootloader(deps, agent, started.id, signal);
  if (result.command_status === 'SUCCEEDED') return;
  throw driveFailure('STEP_FAILED', `install_bootloader: ${commandErrorText(result)}`);
}

async function prepareInstanceBoot(deps: DriveDeps, node: NodeRecord, signal: AbortSignal): Promise<void> {
  await withAgent(deps, node, async (agent) => {
    const result = succeeded(
      await agent.execute('standby.get_partition_uuids', {}, { wait: true, signal }),
      'get_partition_uuids',
    );
    // A whole disk brings its own boot loader; UEFI firmware must be told of it, a BIOS finds it in the first sector.
    if (isUefi(node)) await installBootloader(deps, agent, (result.command_result ?? {}) as JsonObject, signal);
  });
}

async function waitForPowerOff(deps: DriveDeps, node: NodeRecord, signal: AbortSignal): Promise<boolean> {
  const bmc = deps.bmcOf(node);
  for (let waitedMs = 0; ; waitedMs += POWER_OFF_POLL_MS) {
    if ((await bmc.power(signal)) === 'power off') return true;
    if (waitedMs >= POWER_OFF_TIMEOUT_MS) return false;
    await deps.os.clock.sleep(POWER_OFF_POLL_MS, signal);
  }
}

/** Lets the agent write everything out and switch off; where it does not get there, the BMC cuts the power. */
async function tearDownAgent(deps: DriveDeps, node: NodeRecord, signal: AbortSignal): Promise<void> {
  const { uuid } = node;
  const isOff = (await deps.bmcOf(node).power(signal)) === 'power off';
  if (!isOff && node.driver_internal_info.agent_url !== undefined) {
    await withAgent(deps, node, async (agent) => {
      succeeded(await agent.execute('standby.sync', {}, { wait: true, signal }), 'sync');
      await agent.execute('standby.power_off', {}, { wait: false, signal }).catch((error: unknown) => {
        // The data is on the disk: a missing answer changes nothing.
        signal.throwIfAborted();
        deps.log.warn(
          { node: node.name ?? uuid, why: error instanceof Failure ? error.message : error },
          'no power_off',
        );
      });
    });
  }
  if (isOff || (await waitForPowerOff(deps, node, signal))) return recordPower(deps, uuid, 'power off');
  await changePower(deps, uuid, 'power off', signal);
}

/** Deployment: the agent writes the image and makes it bootable, the machine is switched off and starts from its disk. */
export function deployParts(deps: DriveDeps): FlowParts {
  const ownSteps: Record<string, (node: NodeRecord, signal: AbortSignal) => Promise<void>> = {
    'deploy.prepare_instance_boot': (node, signal) => prepareInstanceBoot(deps, node, signal),
    'deploy.tear_down_agent': (node, signal) => tearDownAgent(deps, node, signal),
    'deploy.boot_instance': (node, signal) => bootDisk(deps, node.uuid, signal),
  };
  return {
    chooseSteps: (_node, offered) => deploymentSteps(offered),
    argumentsOf: (node: NodeRecord, step: FlowStep) => {
      if (stepName(step) !== 'deploy.write_image') return {};
      const configdrive = deps.store.getConfigdrive(node.uuid);
      const drive = typeof configdrive === 'string' ? configdrive : undefined;
      return { args: { image_info: imageInfo(node), configdrive: drive ?? null }, configdrive: drive };
    },
    runOwnStep: async (uuid, step, signal) => {
      const run = ownSteps[stepName(step)];
      if (run === undefined)
        throw driveFailure('STEP_FAILED', `deploy step ${stepName(step)}: this conductor has no such step`);
      await run(deps.store.getNode(uuid), signal);
    },
    finish: async (uuid) => {
      transition(deps, uuid, 'done', { target_provision_state: null, deploy_step: {}, info: FORGET_FLOW });
    },
    // What is written may be half written: only the step that was refused is given again.
    restartsOnMismatch: () => false,
  };
}
