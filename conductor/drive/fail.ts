import { STATE_KINDS } from '../states/table.ts';
import { Failure } from '../../system/failure.ts';
import { collectLogs } from './agent-use.ts';
import type { DriveDeps } from './deps.ts';
import { errorText, transition } from './node-change.ts';
import { switchOffIfPossible } from './power.ts';

/** States whose failure leaves a machine running a ramdisk that nobody needs any more. */
const WITH_RAMDISK = ['inspecting', 'inspect wait', 'cleaning', 'clean wait', 'deploying', 'wait call-back'];

/** Ends a flow: logs are saved, the machine is switched off, the state becomes the failed one and `last_error` says why. */
export async function failFlow(deps: DriveDeps, uuid: string, error: unknown, signal: AbortSignal): Promise<void> {
  const node = deps.store.getNode(uuid);
  const known = error instanceof Failure;
  deps.log.error(
    { node: node.name ?? uuid, state: node.provision_state, why: known ? error.message : error },
    known ? 'failed' : 'failed by an internal error',
  );
  let text = errorText(error);
  if (WITH_RAMDISK.includes(node.provision_state)) {
    await collectLogs(deps, uuid, signal);
    const powerError = await switchOffIfPossible(deps, uuid, signal);
    if (powerError !== undefined && powerError !== text) text += `; and the machine is still on: ${powerError}`;
  }
  transition(deps, uuid, 'fail', { last_error: text, target_provision_state: null });
}

/** Runs a piece of a flow so that whatever it throws becomes the node's failed state; only the conductor's own end does not. */
export async function orFail(
  deps: DriveDeps,
  uuid: string,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    // Nothing to take back when the flow had already ended.
    if (['idle', 'failed'].includes(STATE_KINDS[deps.store.getNode(uuid).provision_state])) throw error;
    await failFlow(deps, uuid, error, signal);
  }
}
