import { Failure, reasonOf } from '../../system/failure.ts';
import { allowedVerbs, nextState, type ProvisionEvent } from '../states/table.ts';
import type { InternalInfo, NodeRecord } from '../store/node.ts';
import { type NodeChange, timestamp } from '../store/store.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';

/** Keys to change in `driver_internal_info`; undefined removes one. */
export type InfoChange = { [K in keyof InternalInfo]?: InternalInfo[K] | undefined };

export function changedInfo(info: InternalInfo, change: InfoChange): InternalInfo {
  return Object.fromEntries(Object.entries({ ...info, ...change }).filter(([, value]) => value !== undefined));
}

export function setInfo(deps: DriveDeps, uuid: string, change: InfoChange): NodeRecord {
  return deps.store.updateNode(uuid, (node) => ({
    driver_internal_info: changedInfo(node.driver_internal_info, change),
  }));
}

/** @throws Failure STATE_REFUSES that says what the state does allow */
export function refuseUnlessAllowed(node: NodeRecord, event: ProvisionEvent): void {
  if (nextState(node.provision_state, event) !== undefined) return;
  const allowed = allowedVerbs(node.provision_state);
  throw driveFailure(
    'STATE_REFUSES',
    `${event} node ${node.name ?? node.uuid} while it is in state "${node.provision_state}"`,
    {
      hint: allowed.length > 0 ? `from here it can: ${allowed.join(', ')}` : 'wait until it has finished what it is at',
    },
  );
}

/**
 * Takes a node along one arrow of the state table.
 * @param change what changes in the same write
 * @throws Failure STATE_REFUSES
 */
export function transition(
  deps: DriveDeps,
  uuid: string,
  event: ProvisionEvent,
  change: NodeChange & { info?: InfoChange } = {},
): NodeRecord {
  const { info, ...rest } = change;
  const node = deps.store.updateNode(uuid, (old) => {
    refuseUnlessAllowed(old, event);
    return {
      provision_state: nextState(old.provision_state, event) ?? old.provision_state,
      provision_updated_at: timestamp(deps.os.clock.now()),
      ...rest,
      ...(info && { driver_internal_info: changedInfo(old.driver_internal_info, info) }),
    };
  });
  deps.log.info({ node: node.name ?? uuid, state: node.provision_state, target: node.target_provision_state }, 'state');
  return node;
}

/** A failure as it stands in `last_error`. */
export function errorText(error: unknown): string {
  return error instanceof Failure && error.hint !== undefined
    ? `${error.message}; try: ${error.hint}`
    : reasonOf(error);
}
