import type { FastifyInstance } from 'fastify';

import type { Lookup } from './api/ironic.ts';
import { AGENT_VERSION } from './api/version.ts';
import { createApp } from './app.ts';
import type { AgentDeps, Departure } from './commands/deps.ts';
import { createDeparture } from './departure.ts';
import { createRunner, type Runner } from './engine/runner.ts';
import { callbackUrl, findAdvertisedAddress } from './ironic/address.ts';
import { type Certificate, createCertificate } from './ironic/certificate.ts';
import { API_MINOR, type IronicClient } from './ironic/client.ts';
import { createHeartbeat } from './ironic/heartbeat.ts';
import { lookupNode } from './ironic/lookup.ts';
import { errorText } from './join.ts';
import { describeMemory } from './memory.ts';
import type { AgentParts } from './parts.ts';
import { reasonOf } from '../system/failure.ts';

/** How the conductor reaches this agent; it stays the same until the next boot. */
export type Endpoint = { callbackUrl: string; tls: Certificate | undefined };

const RETRY_SECONDS = 5;
/** A command that needs the node as it is now fails when Ironic does not say it for so long. */
const REFRESH_SECONDS = 60;

/** Tries until it works; the console says what does not. */
async function insist<T>(parts: AgentParts, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      parts.signal.throwIfAborted();
      parts.console.status({ error: errorText(error) });
      await parts.os.clock.sleep(RETRY_SECONDS * 1000, parts.signal);
    }
  }
}

/** Address and certificate: those of an earlier process of this boot, else new ones. */
export async function makeEndpoint(parts: AgentParts, ironic: IronicClient): Promise<Endpoint> {
  const { config, os, store, signal } = parts;
  const saved = store.state().callbackUrl;
  const savedCertificate = await store.certificate();
  if (saved !== undefined && (savedCertificate !== undefined || saved.startsWith('http:'))) {
    return { callbackUrl: saved, tls: saved.startsWith('https:') ? savedCertificate : undefined };
  }
  const host = await insist(parts, () =>
    findAdvertisedAddress({
      advertiseHost: config.advertiseHost,
      probe: ironic.probe,
      attempts: config.ipLookupAttempts,
      sleepSeconds: config.ipLookupSleepSeconds,
      clock: os.clock,
      signal,
    }),
  );
  // Servers that do not take a certificate cannot be served over TLS with one of our own.
  const minor = await insist(parts, () => ironic.serverMinor(signal));
  const withTls = minor >= API_MINOR.agentVerifyCa;
  let tls: Certificate | undefined;
  if (withTls) {
    const { serverTime } = await insist(parts, () => ironic.probe(signal));
    const times = [os.clock.now(), ...(serverTime === undefined ? [] : [serverTime])];
    tls = createCertificate({ host, commonName: os.hostname(), curve: config.tlsCertificateCurve, times });
    await store.saveCertificate(tls);
  }
  const url = callbackUrl(withTls ? 'https' : (config.advertiseProtocol ?? 'http'), host, config.advertisePort);
  await store.update({ callbackUrl: url });
  return { callbackUrl: url, tls };
}

/** The agent's server, listening on all addresses unless told otherwise. */
async function listen(parts: AgentParts, app: FastifyInstance): Promise<void> {
  const { config, os } = parts;
  const all = (await os.files.exists('/proc/net/if_inet6')) ? '::' : '0.0.0.0';
  await insist(parts, () => app.listen({ host: config.listenHost ?? all, port: config.listenPort }));
}

export function makeDeps(
  parts: AgentParts,
  ironic: IronicClient,
  lookup: Lookup,
  leave: (why: Departure) => void,
): AgentDeps {
  const node: AgentDeps['node'] = { current: lookup.node };
  return {
    os: parts.os,
    config: parts.config,
    node,
    inventory: parts.hardware.inventory,
    recentLog: parts.console.recent,
    ...(parts.inRamdisk && { leave }),
    refreshNode: async () => {
      const fresh = await lookupNode({
        ironic,
        addresses: parts.hardware.macs,
        nodeUuid: lookup.node.uuid,
        timeoutSeconds: REFRESH_SECONDS,
        intervalSeconds: parts.config.lookupIntervalSeconds,
        clock: parts.os.clock,
        random: parts.random,
        onRetry: (error) => parts.console.log(`the node is asked for again: ${reasonOf(error)}`),
        signal: parts.signal,
      });
      node.current = fresh.node; // its token is masked by now and of no interest
      return node.current;
    },
  };
}

async function makeRunner(parts: AgentParts, deps: AgentDeps, onAsyncEnd: () => void): Promise<Runner> {
  const { console, store } = parts;
  return createRunner<AgentDeps>({
    commands: parts.commands,
    deps,
    signal: parts.signal,
    log: console.log,
    restored: await store.history(),
    save: store.saveHistory,
    monotonic: parts.os.clock.monotonic,
    events: {
      started: (_command, title) => {
        console.log(`command ${title} starts`);
        console.status({ command: `${title}: running` });
      },
      progress: console.progress,
      finished: (result, mode) => {
        const details = result.command_error?.details;
        console.log(`command ${result.command_name} ended: ${result.command_status}${details ? `: ${details}` : ''}`);
        console.status({
          command: `${result.command_name}: ${result.command_status}`,
          ...(details !== undefined && { error: `${result.command_name}: ${details}` }),
        });
        if (mode !== 'async') return;
        // The long commands are the ones that could need much; whoever plans for small machines reads it here.
        void describeMemory(parts.os.files).then((memory) => memory !== undefined && console.log(memory));
        onAsyncEnd();
      },
    },
  });
}

/**
 * Listens for commands and beats until the signal aborts.
 * @param ready what must be there before the first beat, because the conductor answers it with commands
 * @returns why a command ended it, undefined when the signal did
 */
export async function serve(
  parts: AgentParts,
  ironic: IronicClient,
  joined: { lookup: Lookup; token: string | undefined },
  ready: Promise<void>,
): Promise<Departure | undefined> {
  const { config, console, os, signal, store } = parts;
  const { lookup } = joined;
  const endpoint = await makeEndpoint(parts, ironic);
  const token = (): string | undefined => store.state().token;
  const departure = createDeparture(os.clock, signal);
  let failing = false;
  const heartbeat = createHeartbeat({
    send: (beatSignal) =>
      ironic.heartbeat(
        lookup.node.uuid,
        {
          callback_url: endpoint.callbackUrl,
          agent_token: token() ?? '',
          agent_version: AGENT_VERSION,
          ...(endpoint.tls && { agent_verify_ca: endpoint.tls.certificate }),
        },
        beatSignal,
      ),
    timeoutSeconds: lookup.config.heartbeat_timeout,
    clock: os.clock,
    random: parts.random,
    signal: AbortSignal.any([signal, departure.signal]),
    onBeat: ({ error, nextSeconds }) => {
      console.debug(`heartbeat ${error === undefined ? 'taken' : 'failed'}; the next in ${nextSeconds.toFixed(0)} s`);
      const state =
        error === undefined ? 'serving: Ironic took the heartbeat' : 'serving, but Ironic took no heartbeat';
      // A good beat only takes back what a bad one said: a failed command stays on the screen.
      console.status({
        state,
        ...(error !== undefined && { error: errorText(error) }),
        ...(failing && !error && { error: '' }),
      });
      failing = error !== undefined;
    },
  });
  const runner = await makeRunner(parts, makeDeps(parts, ironic, lookup, departure.leave), heartbeat.force);
  const app = createApp({
    runner,
    token,
    startedAt: os.clock.now() / 1000,
    version: AGENT_VERSION,
    log: console.log,
    onAnswer: departure.answered,
    ...(endpoint.tls && { tls: { ...endpoint.tls, minVersion: config.tlsMinVersion } }),
  });
  await listen(parts, app);
  console.status({ address: endpoint.callbackUrl, state: 'listening', error: '' });
  try {
    await ready;
    await heartbeat.run();
    return await departure.gone();
  } finally {
    await app.close().catch((error: unknown) => console.log(reasonOf(error)));
  }
}
