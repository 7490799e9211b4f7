import { Failure } from '../../system/failure.ts';
import type { PowerAction } from '../bmc/bmc.ts';
import type { NodeRecord } from '../store/node.ts';
import { timestamp } from '../store/store.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { changedInfo, type InfoChange, setInfo } from './node-change.ts';

/** What belongs to one boot of the ramdisk; a power cycle ends it (agent-protocol J.4). */
const FORGET_AGENT: InfoChange = {
  agent_secret_token: undefined,
  agent_url: undefined,
  agent_verify_ca: undefined,
  agent_last_heartbeat: undefined,
  ingot_looked_up: undefined,
  ingot_looked_up_again: undefined,
  ingot_boot_script_fetched: undefined,
  ingot_ramdisk_started: undefined,
  ingot_unreachable: undefined,
};

export function isUefi(node: NodeRecord): boolean {
  const capabilities = [node.instance_info['capabilities'], node.properties['capabilities']];
  return !capabilities.some((text) => typeof text === 'string' && /(^|,)\s*boot_mode:bios\s*(,|$)/.test(text));
}

/**
 * Changes the machine's power through its BMC and notes the intent before and the result after it, so that a conductor that
 * was killed in between knows what it was about to do. The ramdisk that may have run is forgotten.
 */
export async function changePower(
  deps: DriveDeps,
  uuid: string,
  action: PowerAction,
  signal: AbortSignal,
): Promise<void> {
  const node = deps.store.updateNode(uuid, { target_power_state: action });
  await deps.bmcOf(node).setPower(action, signal);
  recordPower(deps, uuid, action.endsWith('off') ? 'power off' : 'power on');
}

/** Notes a power state that was reached, and that no change is under way. */
export function recordPower(deps: DriveDeps, uuid: string, power: 'power on' | 'power off'): void {
  deps.progress.delete(uuid);
  deps.contacts.delete(uuid);
  deps.store.updateNode(uuid, (node) => ({
    power_state: power,
    target_power_state: null,
    driver_internal_info: changedInfo(node.driver_internal_info, {
      ...FORGET_AGENT,
      last_power_state_change: timestamp(deps.os.clock.now()),
    }),
  }));
}

/**
 * Starts the machine into the ramdisk, from power off, so that nothing of an earlier boot can answer.
 * @param purpose `inspect` posts an inventory and nothing else; `agent` looks the node up and beats
 */
export async function bootRamdisk(
  deps: DriveDeps,
  uuid: string,
  purpose: 'inspect' | 'agent',
  signal: AbortSignal,
): Promise<void> {
  if (!deps.settings.hasRamdisk) throw driveFailure('RAMDISK_MISSING', 'the conductor was started without one');
  const macs = deps.store.listPorts(uuid).filter((port) => port.pxe_enabled);
  if (macs.length === 0) {
    throw driveFailure('RAMDISK_MISSING', 'the node has no port with a MAC address to boot from', {
      hint: 'give the MAC address of the NIC that boots with ingot node create --mac',
    });
  }
  const node = setInfo(deps, uuid, { ingot_booting: true, ingot_ramdisk: purpose });
  await changePower(deps, uuid, 'power off', signal);
  await deps.bmcOf(node).setBootDevice('pxe', { once: true, uefi: isUefi(node) }, signal);
  await changePower(deps, uuid, 'power on', signal);
  setInfo(deps, uuid, { ingot_booting: undefined, ingot_ramdisk_started: timestamp(deps.os.clock.now()) });
}

/** Starts the machine from its disk, for good. */
export async function bootDisk(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  const node = setInfo(deps, uuid, { ingot_ramdisk: undefined });
  await deps.bmcOf(node).setBootDevice('disk', { once: false, uefi: isUefi(node) }, signal);
  await changePower(deps, uuid, 'power on', signal);
}

/** Switches the machine off for good; the ramdisk is not given out any more. */
export async function switchOff(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  setInfo(deps, uuid, { ingot_ramdisk: undefined, ingot_booting: undefined });
  await changePower(deps, uuid, 'power off', signal);
}

/** As `switchOff` after a failure, which must not be hidden by a second one. */
export async function switchOffIfPossible(
  deps: DriveDeps,
  uuid: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await switchOff(deps, uuid, signal);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    deps.store.updateNode(uuid, { target_power_state: null });
    return error instanceof Failure ? error.message : String(error);
  }
}
