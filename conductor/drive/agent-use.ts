import { join } from 'node:path';

import type { CommandResult } from '../../agent/api/command.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import type { JsonObject, NodeRecord } from '../store/node.ts';
import { nodeView, portView } from '../store/view.ts';
import { type AgentClient, commandErrorText } from './agent-client.ts';
import type { DriveDeps } from './deps.ts';
import { driveFailure } from './failures.ts';
import { setInfo } from './node-change.ts';

/** Opens a client to the node's agent for the time of `use`. @throws Failure AGENT_UNREACHABLE when none has come yet */
export async function withAgent<T>(
  deps: DriveDeps,
  node: NodeRecord,
  use: (agent: AgentClient) => Promise<T>,
): Promise<T> {
  const { agent_url, agent_secret_token, agent_verify_ca } = node.driver_internal_info;
  if (agent_url === undefined || agent_secret_token === undefined) {
    throw driveFailure('AGENT_UNREACHABLE', `node ${node.name ?? node.uuid}: it has not sent a heartbeat`);
  }
  const certificate = agent_verify_ca ?? (node.driver_info['agent_verify_ca'] as string | undefined);
  const agent = deps.connectAgent({ url: agent_url, token: agent_secret_token, certificate }, deps.os.clock);
  try {
    return await use(agent);
  } finally {
    await agent.close();
  }
}

/** `node` and `ports` of a command; both are whole, as Ironic sends them. */
export function nodeParams(
  deps: DriveDeps,
  uuid: string,
  configdrive?: string,
): { node: JsonObject; ports: JsonObject[] } {
  const node = nodeView(deps.store.getNode(uuid), { reservation: deps.jobs.holder(uuid) ?? null, configdrive });
  return {
    node,
    ports: deps.store.listPorts(uuid).map((port) => ({ id: port.id, node_id: port.node_id, ...portView(port) })),
  };
}

/** @throws Failure STEP_FAILED with the agent's own words */
export function succeeded(result: CommandResult, what: string): CommandResult {
  if (result.command_status === 'SUCCEEDED') return result;
  throw driveFailure('STEP_FAILED', `${what}: ${commandErrorText(result)}`);
}

/**
 * Fetches the ramdisk's logs after a failure and keeps them beside the database. Never fails: what went wrong is known already.
 */
export async function collectLogs(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  const node = deps.store.getNode(uuid);
  if (node.driver_internal_info.agent_url === undefined) return;
  try {
    const result = await withAgent(deps, node, (agent) =>
      agent.execute('log.collect_system_logs', {}, { wait: true, signal }),
    );
    const archive = (result.command_result as { system_logs?: unknown } | null)?.system_logs;
    if (typeof archive !== 'string') return;
    const stamp = new Date(deps.os.clock.now()).toISOString().replaceAll(':', '-');
    const path = join(deps.settings.logsDirectory, uuid, `${stamp}.tar.gz`);
    await deps.os.writeFile(path, Buffer.from(archive, 'base64'), 0o600);
    setInfo(deps, uuid, { ingot_agent_logs: path });
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Failure ? error.message : reasonOf(error);
    deps.log.warn({ node: node.name ?? uuid, why }, 'no logs from the ramdisk');
  }
}
