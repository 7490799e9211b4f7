import { setTimeout as sleep } from 'node:timers/promises';

import { parseProbe } from './probe.ts';
import type { BenchLab } from './lab.ts';
import { provision, readNode, settle, skipDisks, waitForState } from './node.ts';
import { type Boot, fetchedBytes, firstHeartbeat, firstLookup, type Leg, waterfall } from './waterfall.ts';

/** What shows on a console when nothing will come of a start, or something had to die for it. */
const HOPELESS =
  /Kernel panic - not syncing.*|Out of memory: Killed process.*|System is deadlocked on memory|.*ipxe\.org\/[0-9a-f]{6,8}.*|Ingot: node .* cannot load the ramdisk.*|BdsDxe: No bootable option.*/;

const POLL_MS = 200;
/** Ends of flows that had been given up. */
const SETTLE_SECONDS = 180;
/** The probe speaks every two seconds; a busy host may keep it waiting. */
const READING_SECONDS = 20;

/** Seconds since power-on, bytes; undefined where it was not seen. */
export type StartResult = {
  lookupSeconds: number | undefined;
  heartbeatSeconds: number | undefined;
  /** The agent's resident memory at the first reading after its first heartbeat was taken. */
  residentBytes: number | undefined;
  /** What of that no file of the ramdisk stands behind: what it costs beyond the ramdisk itself, whose files are in memory anyway. */
  anonymousBytes: number | undefined;
  /** Of the machine's memory, at the same moment. */
  availableBytes: number | undefined;
  /** Of the host, for the machine until the first heartbeat. */
  processorSeconds: number | undefined;
  fetchedBytes: number;
  legs: Leg[];
  /** Why there was no heartbeat. */
  why: string | undefined;
  boot: Boot;
};

function hopeless(lab: BenchLab): string | undefined {
  for (const { text } of lab.console.lines()) {
    const sign = HOPELESS.exec(text)?.[0];
    if (sign !== undefined) return sign.trim();
  }
  return undefined;
}

/** Waits for something to be seen. @returns why it did not come, or undefined */
async function until(
  lab: BenchLab,
  seen: () => boolean | Promise<boolean>,
  seconds: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = performance.now() + seconds * 1000;
  while (!(await seen())) {
    const sign = hopeless(lab);
    if (sign !== undefined) return sign;
    if (performance.now() > end) return `not within ${Math.round(seconds)} s`;
    await sleep(POLL_MS, undefined, { signal });
  }
  return undefined;
}

/** Readings of the agent's memory in this start, with their times. */
function readings(boot: Boot) {
  return boot.lines.flatMap(({ at, text }) => {
    const reading = parseProbe(text);
    return reading === undefined ? [] : [{ at, ...reading }];
  });
}

/**
 * Starts the machine with its ramdisk until the conductor has taken a heartbeat: the beginning of a cleaning.
 * The node has to be manageable, and is so again.
 */
export async function startRun(lab: BenchLab, patienceSeconds: number, signal: AbortSignal): Promise<StartResult> {
  lab.console.forget();
  lab.front.forget();
  const steps = [{ interface: 'deploy', step: 'erase_devices_metadata' }];
  await provision(lab, 'clean', { clean_steps: steps });
  const why = await until(lab, () => firstHeartbeat(lab.seen()) !== undefined, patienceSeconds, signal);
  const processorSeconds = why === undefined ? await lab.processorSeconds() : undefined;
  if (why === undefined) {
    const after = firstHeartbeat(lab.seen()) ?? 0;
    const isRead = () => readings(lab.seen()).some(({ at }) => at > after) || !lab.machine.isOn();
    await until(lab, isRead, READING_SECONDS, signal);
  }
  const boot = lab.seen();
  const heartbeatSeconds = firstHeartbeat(boot);
  const reading = readings(boot).find(({ at }) => at > (heartbeatSeconds ?? Number.POSITIVE_INFINITY));
  const { provision_state: state } = await settle(lab, SETTLE_SECONDS, signal);
  if (state !== 'manageable') {
    await provision(lab, 'manage');
    await waitForState(lab, ['manageable'], SETTLE_SECONDS, signal);
  }
  return {
    lookupSeconds: firstLookup(boot),
    heartbeatSeconds,
    residentBytes: reading?.resident,
    anonymousBytes: reading?.anonymous,
    availableBytes: reading?.available,
    processorSeconds,
    fetchedBytes: fetchedBytes(boot),
    legs: waterfall(boot),
    why,
    boot,
  };
}

/** From manageable to available, by a cleaning that leaves the disks alone. */
export async function makeAvailable(lab: BenchLab, patienceSeconds: number, signal: AbortSignal): Promise<void> {
  await skipDisks(lab, true);
  await provision(lab, 'provide');
  await waitForState(lab, ['available'], patienceSeconds, signal);
  await skipDisks(lab, false);
}

export type DeployResult = {
  /** Power-on of the ramdisk to the order to start from the disk. */
  seconds: number | undefined;
  /** The agent's resident memory at the last reading before the machine was switched off, and the most it ever had. */
  residentBytes: number | undefined;
  residentMostBytes: number | undefined;
  why: string | undefined;
  boot: Boot;
};

/** Has the image written, by the same commands of the same conductor, until the node is active; then switches it off. */
export async function deployRun(lab: BenchLab, patienceSeconds: number, signal: AbortSignal): Promise<DeployResult> {
  const { provision_state: before } = await readNode(lab);
  lab.console.forget();
  lab.front.forget();
  const start = performance.now();
  await provision(lab, before === 'available' ? 'active' : 'rebuild');
  let failed: string | undefined;
  const isDone = async () => {
    const node = await readNode(lab);
    if (node.provision_state === 'deploy failed') failed = node.last_error ?? 'deploy failed';
    return node.provision_state === 'active' || failed !== undefined;
  };
  const why = (await until(lab, isDone, patienceSeconds, signal)) ?? failed;
  const seconds = (performance.now() - start) / 1000;
  // In the end the machine starts anew, from its disk.
  const seen = why === undefined ? (lab.ended() ?? lab.seen()) : lab.seen();
  const last = readings(seen).at(-1);
  await settle(lab, SETTLE_SECONDS, signal);
  return {
    seconds: why === undefined ? seconds : undefined,
    residentBytes: last?.resident,
    residentMostBytes: last?.residentMost,
    why,
    boot: seen,
  };
}
