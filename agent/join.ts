import type { Lookup } from './api/ironic.ts';
import { collectSystemLogs } from './commands/logs.ts';
import { waitForDhcp } from './dhcp-wait.ts';
import { inspectionData } from './inspection-data.ts';
import { type IronicClient, refusalStatus } from './ironic/client.ts';
import { inspectionUrls, postInspection } from './ironic/inspection.ts';
import { chooseToken, lookupNode } from './ironic/lookup.ts';
import { lockDown } from './lockdown.ts';
import type { AgentParts } from './parts.ts';
import { Failure, reasonOf } from '../system/failure.ts';

const RETRY_SECONDS = 30;

/** The reason and what to try, as the console shows them. */
export function errorText(error: unknown): string {
  return error instanceof Failure && error.hint !== undefined
    ? `${error.message}\ntry: ${error.hint}`
    : reasonOf(error);
}

/** Whether the boot parameters ask for an inspection that has not been done in this boot. */
export function wantsInspection({ config, store }: AgentParts): boolean {
  const asked =
    config.inspectionCallbackUrls.length > 0 || (config.inspectionCollectors.length > 0 && config.apiUrls.length > 0);
  return asked && store.state().inspected !== true;
}

/**
 * Hands in the inventory. A server that refuses it is told about and left (the lookup may still work); one that cannot be
 * reached is asked again until it can.
 * @returns the node's UUID where the server says it
 */
export async function inspect(parts: AgentParts): Promise<string | undefined> {
  const { config, console, hardware, os, store, signal } = parts;
  await waitForDhcp(parts);
  for (;;) {
    console.status({ state: 'inspecting this machine' });
    const payload = await inspectionData(config.inspectionCollectors, {
      os,
      config,
      hardware,
      managers: parts.managers,
      logs: () => collectSystemLogs({ os, recentLog: console.recent }),
      log: console.log,
      signal,
    });
    const urls = inspectionUrls(config.inspectionCallbackUrls, config.apiUrls);
    try {
      const { uuid, token } = await postInspection({
        urls,
        payload,
        http: parts.http,
        requestId: config.globalRequestId,
        clock: os.clock,
        onRetry: (reason, wait) => console.status({ error: `${reason}\nnext try in ${wait} s` }),
        signal,
      });
      console.addSecret(token);
      await store.update({ inspected: true, ...(token !== undefined && { token }) });
      console.status({ state: 'inspection has been handed in', error: '', ...(uuid !== undefined && { node: uuid }) });
      return uuid;
    } catch (error) {
      signal.throwIfAborted();
      console.status({ state: 'inspection was not taken', error: errorText(error) });
      if (error instanceof Failure && error.code === 'INSPECTION_REFUSED') return undefined;
      await os.clock.sleep(RETRY_SECONDS * 1000, signal);
    }
  }
}

/** The client, with a note in the state of every lookup whose answer nobody has taken in. */
function rememberLookups(ironic: IronicClient, store: AgentParts['store']): IronicClient {
  return {
    ...ironic,
    lookup: async (...args) => {
      await store.asking();
      try {
        return await ironic.lookup(...args);
      } catch (error) {
        // Any status but 200 brings no token; without one, the answer may have been given and not have come through.
        await store.asked(refusalStatus(error) === undefined ? 'lost' : 'none');
        throw error;
      }
    },
  };
}

/**
 * Asks Ironic for the node, round after round, and keeps the token.
 * @returns undefined when Ironic withholds the token, and the machine is locked
 */
export async function join(
  parts: AgentParts,
  ironic: IronicClient,
  nodeUuid: string | undefined,
): Promise<{ lookup: Lookup; token: string | undefined } | undefined> {
  const { config, console, hardware, os, store, signal } = parts;
  for (;;) {
    console.status({ state: `asking Ironic for this machine's node at ${config.apiUrls.join(', ')}` });
    try {
      const lookup = await lookupNode({
        ironic: rememberLookups(ironic, store),
        addresses: hardware.macs,
        nodeUuid,
        timeoutSeconds: config.lookupTimeoutSeconds,
        intervalSeconds: config.lookupIntervalSeconds,
        clock: os.clock,
        random: parts.random,
        onRetry: (error, wait) => {
          console.status({ error: errorText(error) });
          console.debug(`next lookup in ${wait.toFixed(1)} s`);
        },
        signal,
      });
      const token = chooseToken(store.state().token ?? config.agentToken, lookup.config.agent_token);
      console.addSecret(token);
      await store.update({ nodeUuid: lookup.node.uuid, ...(token !== undefined && { token }) });
      await store.asked('taken');
      console.status({ node: lookup.node.uuid, state: "found this machine's node", error: '' });
      return { lookup, token };
    } catch (error) {
      signal.throwIfAborted();
      const isWithheld = error instanceof Failure && error.code === 'TOKEN_WITHHELD';
      if (isWithheld) await store.asked('none');
      if (isWithheld && store.tokenMayBeLost()) {
        // It was given to an agent of this boot, which died or never heard of it. Nobody serves without a token, so there is
        // nothing to lock; Ironic makes a new one when it power-cycles the machine, at the latest after its own time-out.
        const why = `${error.message}: it went to this boot's agent, which stopped before it could keep it`;
        console.status({ state: 'without a token: waiting for Ironic to give out a new one', error: why });
        await os.clock.sleep(RETRY_SECONDS * 1000, signal);
        continue;
      }
      if (isWithheld) {
        // Nobody but Ironic's own agent of this boot may serve: the network goes down, as IPA does it.
        if (!parts.inRamdisk) throw error;
        await lockDown(parts, errorText(error));
        return undefined;
      }
      if (!(error instanceof Failure) || error.code !== 'LOOKUP_TIMED_OUT') throw error;
      // IPA's process ends here and is started again half a minute later; ours only begins a new round.
      console.status({ state: 'not known to Ironic', error: errorText(error) });
      await os.clock.sleep(RETRY_SECONDS * 1000, signal);
    }
  }
}
