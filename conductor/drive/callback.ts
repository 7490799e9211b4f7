import { X509Certificate, randomBytes, timingSafeEqual } from 'node:crypto';

import type { Heartbeat } from '../../agent/api/ironic.ts';
import { MASKED_TOKEN } from '../../agent/api/ironic.ts';
import { LOOKUP_STATES, STATE_KINDS } from '../states/table.ts';
import type { NodeRecord } from '../store/node.ts';
import { timestamp } from '../store/store.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { normalMac } from './inspect.ts';
import { setInfo } from './node-change.ts';

const agentRefused = (why: string, hint?: string) =>
  driveFailure('HEARTBEAT_REFUSED', why, hint === undefined ? {} : { hint });

/**
 * The node of a booted ramdisk (agent-protocol B.5), and the token that it may use until the next power cycle.
 * @returns `token` is `******` when it was handed out before
 * @throws Failure LOOKUP_REQUEST, LOOKUP_NOT_FOUND, NODE_LOCKED
 */
export function lookup(
  deps: DriveDeps,
  query: { addresses: string[]; nodeUuid: string | undefined },
): { node: NodeRecord; token: string } {
  const addresses = query.addresses.flatMap((text) => normalMac(text) ?? []);
  if (addresses.length === 0 && query.nodeUuid === undefined) {
    throw driveFailure('LOOKUP_REQUEST', 'neither a valid MAC address nor a node uuid was given');
  }
  const byUuid = query.nodeUuid === undefined ? undefined : deps.store.findNode(query.nodeUuid);
  const nodes = byUuid ? [byUuid] : deps.store.nodesOfAddresses(addresses);
  const node = nodes[0];
  if (node === undefined || nodes.length > 1) {
    throw driveFailure(
      'LOOKUP_NOT_FOUND',
      `${nodes.length > 1 ? 'several nodes have' : 'no node has'} ${addresses.join(', ')}`,
    );
  }
  if (!LOOKUP_STATES.includes(node.provision_state)) {
    throw driveFailure('LOOKUP_NOT_FOUND', `node ${node.name ?? node.uuid} is in state "${node.provision_state}"`);
  }
  const { agent_secret_token: known, agent_url: url } = node.driver_internal_info;
  // A conductor that was killed while it answered has written the token down and may not have said it. Until a heartbeat
  // proves that the agent has it, the one that asks again after a restart gets a new one; the old one is worth nothing then.
  const mayBeLost = known !== undefined && url === undefined && !deps.issuedTokens.has(known);
  if (known !== undefined && !mayBeLost) {
    if (url === undefined) return { node, token: MASKED_TOKEN };
    return {
      node: setInfo(deps, node.uuid, { ingot_looked_up_again: timestamp(deps.os.clock.now()) }),
      token: MASKED_TOKEN,
    };
  }
  deps.jobs.assertFree(node.uuid);
  const token = randomBytes(32).toString('base64url');
  deps.issuedTokens.add(token);
  const looked = { agent_secret_token: token, ingot_looked_up: timestamp(deps.os.clock.now()) };
  return { node: setInfo(deps, node.uuid, looked), token };
}

function equalSecrets(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function checkCallbackUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'https:') throw agentRefused('callback_url is no https URL');
  if (parsed.pathname !== '/' || parsed.search !== '' || parsed.username !== '' || url.endsWith('/')) {
    throw agentRefused('callback_url is more than https://ADDRESS:PORT');
  }
}

function checkCertificate(pem: string): void {
  try {
    void new X509Certificate(pem);
  } catch (error) {
    throw driveFailure('HEARTBEAT_REFUSED', 'agent_verify_ca is no certificate in PEM form', { cause: error });
  }
}

/** The server's checks of agent-protocol C: what was told once must not change until the next power cycle. */
function checkHeartbeat(node: NodeRecord, beat: Heartbeat): void {
  const { agent_secret_token: token, agent_url: url, agent_verify_ca: certificate } = node.driver_internal_info;
  if (token === undefined || !equalSecrets(token, beat.agent_token)) throw agentRefused('agent_token is wrong');
  checkCallbackUrl(beat.callback_url);
  if (url !== undefined && url !== beat.callback_url) {
    throw agentRefused(`callback_url was ${url} before`, "the agent's address must stay the same between power cycles");
  }
  const given = beat.agent_verify_ca?.trim();
  if (given !== undefined) checkCertificate(given);
  if (url !== undefined && given !== certificate) throw agentRefused('agent_verify_ca has changed');
}

/**
 * Notes a heartbeat.
 * @returns whether the node waits for it, so that its flow goes on
 * @throws Failure HEARTBEAT_REFUSED, NODE_NOT_FOUND, NODE_LOCKED
 */
export function receiveHeartbeat(
  deps: DriveDeps,
  uuid: string,
  beat: Heartbeat,
): { node: NodeRecord; isAwaited: boolean } {
  const old = deps.store.getNode(uuid);
  checkHeartbeat(old, beat);
  if (old.driver_internal_info.agent_url === undefined) deps.jobs.assertFree(old.uuid);
  const now = deps.os.clock.now();
  deps.contacts.set(old.uuid, now);
  const { agent_url: known, ingot_ramdisk_started: started } = old.driver_internal_info;
  const boot = known === undefined && started !== undefined ? (now - Date.parse(started)) / 1000 : undefined;
  const node = setInfo(deps, old.uuid, {
    ...(boot !== undefined && { ingot_ramdisk_boot_seconds: boot }),
    agent_url: beat.callback_url,
    agent_verify_ca: beat.agent_verify_ca?.trim(),
    agent_version: beat.agent_version,
    agent_last_heartbeat: timestamp(now),
  });
  return {
    node,
    isAwaited: STATE_KINDS[node.provision_state] === 'waiting' && node.provision_state !== 'inspect wait',
  };
}
