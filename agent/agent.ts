import { AGENT_VERSION } from './api/version.ts';
import { applyLookup } from './config/overrides.ts';
import { setClockAtStart } from './clock.ts';
import { createIronicClient } from './ironic/client.ts';
import { RESCUED_MARK } from './commands/departures.ts';
import { inspect, join, wantsInspection } from './join.ts';
import { lockDown } from './lockdown.ts';
import { discoverUrls, tellOverrides } from './overrides.ts';
import { connectBootTargets } from './hardware/boot-targets.ts';
import { choosesDisk } from './hardware/root-disk.ts';
import type { AgentParts } from './parts.ts';
import { serve } from './serve.ts';
import { waitForDisks, waitForever, waitForNetwork } from './wait.ts';

/**
 * The agent's life from start-up to the end of its signal: network, disks, inspection where asked for, lookup, certificate,
 * server, heartbeats. What another machine or a slow device fails at is tried again in here; nothing of that ends the process.
 */
export async function runAgent(parts: AgentParts): Promise<void> {
  const { config, console, os, signal, store } = parts;
  console.addSecret(config.agentToken);
  console.addSecret(config.imageServerPassword);
  console.addSecret(store.state().token);
  console.status({ name: `${os.hostname()} (ingot-agent ${AGENT_VERSION})`, state: 'starting' });
  if (await os.files.exists(RESCUED_MARK)) {
    console.status({ state: `rescued: no agent serves while there is ${RESCUED_MARK}` });
    return waitForever(parts);
  }
  if (store.state().locked === true) {
    await lockDown(parts, '');
    return waitForever(parts);
  }
  if (config.hardwareInitializationDelaySeconds > 0) {
    await os.clock.sleep(config.hardwareInitializationDelaySeconds * 1000, signal);
  }
  // Beside the network, which takes as long.
  const disks = waitForDisks(parts, undefined);
  disks.catch(() => undefined); // awaited below; until then a failure is not lost, only late
  await waitForNetwork(parts);
  if (parts.inRamdisk) await connectBootTargets(os, (message) => console.log(message));
  await discoverUrls(parts);
  await setClockAtStart(parts);
  let nodeUuid = store.state().nodeUuid;
  if (wantsInspection(parts)) {
    await disks;
    nodeUuid = (await inspect(parts)) ?? nodeUuid;
  }
  if (config.apiUrls.length === 0) {
    const isInspected = config.inspectionCallbackUrls.length > 0;
    console.status(
      isInspected
        ? { state: 'nothing left to do: waiting to be switched off' }
        : { state: 'idle', error: 'no ipa-api-url and no ipa-inspection-callback-url among the kernel parameters' },
    );
    return waitForever(parts);
  }
  const ironic = createIronicClient({
    urls: config.apiUrls,
    http: parts.http,
    apiVersion: config.ironicApiVersion,
    requestId: config.globalRequestId,
  });
  const joined = await join(parts, ironic, nodeUuid);
  if (joined === undefined) return waitForever(parts);
  await tellOverrides(parts, 'Ironic', applyLookup(config, joined.lookup.config));
  // Again where the node says which disk: the one that it names may be the slowest of all.
  const { node } = joined.lookup;
  const ready = choosesDisk(node) ? disks.then(() => waitForDisks(parts, node)) : disks;
  ready.catch(() => undefined);
  const departure = await serve(parts, ironic, joined, ready);
  if (departure === 'rescue') console.status({ state: 'rescued: this agent ends; log in as the user rescue' });
  if (departure !== 'lockdown') return undefined;
  await lockDown(parts, '');
  return waitForever(parts);
}
