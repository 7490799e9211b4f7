import { setTimeout as delay } from 'node:timers/promises';

import { createProgress, type Progress, progressMode, type ProgressUpdate } from '../../cli/progress.ts';
import type { Program } from '../../cli/program.ts';
import { Failure } from '../../system/failure.ts';
import { type Client, type NodeJson, nodePath } from './client.ts';
import { cliFailure } from './failures.ts';

const POLL_MS = 500;
/** A conductor that is started anew is away for seconds; what it conducts goes on meanwhile. */
const ABSENCE_MS = 60_000;

/** What a command waits for, and what it does not have to wait for any longer. */
export type Goal = {
  /** Shown while waiting and in failures: `cleaning`. */
  what: string;
  states: readonly string[];
  /** States that mean that it went wrong; the node's last_error is the reason. */
  failedStates: readonly string[];
};

export type WaitValues = { 'no-wait': boolean; timeout: number | undefined; json: boolean };

const label = (node: NodeJson) => node.name ?? node.uuid;

/** One node's state as a line of progress: the state, and what the agent says of its command. */
export function progressUpdate(node: NodeJson): ProgressUpdate {
  const agent = node.driver_internal_info['agent_progress'] as Record<string, unknown> | undefined;
  const prefix = `${label(node)}: ${node.provision_state}`;
  if (agent === undefined) {
    const info = node.driver_internal_info;
    const ramdisk =
      info['ingot_ramdisk'] !== undefined &&
      info['ingot_ramdisk_started'] !== undefined &&
      info['agent_url'] === undefined;
    const booting =
      info['ingot_boot_script_fetched'] === undefined
        ? 'waiting for the machine to ask for its ramdisk'
        : 'the ramdisk is booting';
    return { phase: prefix, ...(ramdisk && { message: booting }) };
  }
  const step = typeof agent['step'] === 'string' ? ` ${agent['step']}` : '';
  const phase = typeof agent['phase'] === 'string' && agent['phase'] !== agent['step'] ? `, ${agent['phase']}` : '';
  return {
    phase: `${prefix}${step}${phase}`,
    ...(typeof agent['done'] === 'number' && { done: agent['done'] }),
    ...(typeof agent['total'] === 'number' && { total: agent['total'] }),
    ...(typeof agent['unit'] === 'string' && { unit: agent['unit'] }),
    ...(typeof agent['message'] === 'string' && { message: agent['message'] }),
  };
}

function settled(node: NodeJson, goal: Goal): boolean {
  // With a reservation the conductor has not finished, even where the state says so.
  if (node.reservation !== null) return false;
  return goal.states.includes(node.provision_state) || goal.failedStates.includes(node.provision_state);
}

/** Reads a node again and again; a conductor that is away for less than a minute is waited for. */
function patientReader(client: Client, ident: string, progress: Progress): () => Promise<NodeJson | undefined> {
  let lost: number | undefined;
  return async () => {
    try {
      const node = await client.get<NodeJson>(nodePath(ident));
      lost = undefined;
      return node;
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'CONDUCTOR_UNREACHABLE') throw error;
      lost ??= performance.now();
      if (performance.now() - lost > ABSENCE_MS) throw error;
      progress.update({ phase: `${ident}: the conductor does not answer`, message: 'trying again' });
      return undefined;
    }
  };
}

/**
 * Waits until a node is where it should be, showing how far it is.
 * @returns the node, in one of the goal's states
 * @throws Failure with exit code 1 and the node's last_error in a failed state, 4 after the timeout
 */
export async function waitForNode(
  program: Program,
  client: Client,
  ident: string,
  goal: Goal,
  values: WaitValues,
): Promise<NodeJson> {
  const { stderr, signal } = program;
  const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
  const end = values.timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + values.timeout * 1000;
  const read = patientReader(client, ident, progress);
  try {
    for (;;) {
      const node = await read();
      if (node !== undefined && settled(node, goal)) {
        if (goal.states.includes(node.provision_state)) return node;
        const why = node.last_error ?? 'the conductor gave no reason';
        throw cliFailure(
          'FLOW_FAILED',
          `node ${label(node)} is in state "${node.provision_state}" after ${goal.what}: ${why}`,
        );
      }
      if (node !== undefined) progress.update(progressUpdate(node));
      if (performance.now() >= end) {
        const state = node === undefined ? 'a state that nobody knows' : `state "${node.provision_state}"`;
        throw cliFailure('WAIT_TIMEOUT', `${goal.what} of node ${ident} is in ${state} after ${values.timeout} s`);
      }
      await delay(POLL_MS, undefined, { signal });
    }
  } catch (error) {
    // The program tells of the interruption itself; what people need to know is that nothing was stopped by it.
    if (signal.aborted)
      progress.log(
        `the conductor goes on with ${goal.what} of node ${ident}; ingot node show tells how far it is, ingot node abort ends it`,
      );
    throw error;
  } finally {
    progress.finish();
  }
}
