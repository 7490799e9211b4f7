import { runAgent } from '../../../agent/agent.ts';
import { COMMANDS } from '../../../agent/commands/table.ts';
import { makeConfig } from '../../../agent/config/config.ts';
import { createNetwork } from '../../../agent/network.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import type { AgentParts } from '../../../agent/parts.ts';
import { fakeParts } from '../../fakes/agent-parts.ts';
import { freePort } from '../../fakes/free-port.ts';
import type { Exchange, Held } from '../../fakes/recorded-ironic.ts';

/**
 * The agent with all of its commands, on loopback.
 * @returns what stops it
 */
export async function startReplayedAgent(options: {
  cmdline: string;
  os: AgentOs;
  stateDirectory: string;
  hardware?: Partial<AgentParts['hardware']>;
  commands?: AgentParts['commands'];
}): Promise<() => Promise<void>> {
  const controller = new AbortController();
  const port = await freePort();
  const own = `ipa-listen-host=127.0.0.1 ipa-advertise-host=127.0.0.1 ipa-listen-port=${port} ipa-advertise-port=${port}`;
  const { parts } = await fakeParts({
    cmdline: `${own} ${options.cmdline}`,
    stateDirectory: options.stateDirectory,
    os: options.os,
    signal: controller.signal,
    commands: options.commands ?? COMMANDS,
    hardware: options.hardware ?? {},
  });
  const running = runAgent(parts).catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  return async () => {
    controller.abort(new Error('stopped by the test'));
    await running;
  };
}

/** The request id of a recording, as a kernel parameter. */
export function requestId(exchanges: readonly Exchange[]): string {
  const id = exchanges[0]?.requestHeaders['x-openstack-request-id'];
  return id === undefined ? '' : `ipa-global-request-id=${id}`;
}

/** This agent asks the API root for the clock, as often as it needs to; IPA does not. */
export const isRoot = (held: Held): boolean => held.method === 'GET' && held.path === '/';

export const ownNetwork = (os: AgentOs) =>
  createNetwork({
    os,
    config: makeConfig(new Map()),
    inRamdisk: false,
    log: () => undefined,
    signal: new AbortController().signal,
  });
