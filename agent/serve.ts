import type { FastifyInstance } from 'fastify';

import type { Lookup } from './api/ironic.ts';
import { AGENT_VERSION } from './api/version.ts';
import { createApp } from './app.ts';
import { setClock } from './clock.ts';
import type { AgentDeps, Departure } from './commands/deps.ts';
import { createDeparture } from './departure.ts';
import { createRunner, type Runner } from './engine/runner.ts';
import { tlsLimits } from './config/tls.ts';
import { callbackUrl, findAdvertisedAddress, ipv4Of, withoutBrackets } from './ironic/address.ts';
import { type Certificate, createCertificate } from './ironic/certificate.ts';
import { API_MINOR, type IronicClient } from './ironic/client.ts';
import { createHeartbeat } from './ironic/heartbeat.ts';
import { lookupNode } from './ironic/lookup.ts';
import { errorText } from './join.ts';
import { describeMemory } from './memory.ts';
import type { AgentParts } from './parts.ts';
import { reasonOf } from '../system/failure.ts';

/** How the conductor reaches this agent; it stays the same until the next boot. */
export type Endpoint = {
  callbackUrl: string;
  /** What the server shows; plain HTTP without it. */
  tls: Certificate | undefined;
  /** What the conductor is told to trust: nothing, where the certificate is one that it can check by itself. */
  verifyCa: string | undefined;
};

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

/** What an earlier process of this boot has told Ironic; undefined when it did not come that far. */
async function savedEndpoint({ config, store, serverCertificate }: AgentParts): Promise<Endpoint | undefined> {
  const { callbackUrl: saved } = store.state();
  if (saved === undefined) return undefined;
  if (serverCertificate !== undefined) return { callbackUrl: saved, tls: serverCertificate, verifyCa: undefined };
  const own = saved.startsWith('https:') ? await store.certificate() : undefined;
  if (own === undefined && saved.startsWith('https:') && config.enableAutoTls) return undefined;
  return { callbackUrl: saved, tls: own, verifyCa: own?.certificate };
}

/** A certificate for this boot, where Ironic takes one and nothing else was configured. */
async function makeCertificate(
  parts: AgentParts,
  ironic: IronicClient,
  host: string,
): Promise<Certificate | undefined> {
  const { config, os, store, signal } = parts;
  if (!config.enableAutoTls) return undefined;
  // Servers that do not take a certificate cannot be served over TLS with one of our own.
  const minor = await insist(parts, () => ironic.serverMinor(signal));
  if (minor < API_MINOR.agentVerifyCa) return undefined;
  const { serverTime } = await insist(parts, () => ironic.probe(signal));
  const times = [os.clock.now(), ...(serverTime === undefined ? [] : [serverTime])];
  const own = createCertificate({
    host,
    commonName: os.hostname(),
    curve: config.tlsCertificateCurve,
    times,
    allowedSkewSeconds: config.autoTlsAllowedClockSkewSeconds,
  });
  await store.saveCertificate(own);
  return own;
}

/** Address and certificate: those of an earlier process of this boot, else new ones. */
export async function makeEndpoint(parts: AgentParts, ironic: IronicClient): Promise<Endpoint> {
  const { config, os, store, signal, serverCertificate } = parts;
  const saved = await savedEndpoint(parts);
  if (saved !== undefined) return saved;
  const { networkInterface: name } = config;
  const host = await insist(parts, () =>
    findAdvertisedAddress({
      advertiseHost: config.advertiseHost,
      interfaceAddress: name === undefined ? undefined : { name, find: () => ipv4Of(os.addresses(), name) },
      probes: ironic.probes,
      attempts: config.ipLookupAttempts,
      sleepSeconds: config.ipLookupSleepSeconds,
      clock: os.clock,
      signal,
    }),
  );
  const own = serverCertificate === undefined ? await makeCertificate(parts, ironic, host) : undefined;
  const tls = serverCertificate ?? own;
  const wanted = config.advertiseProtocol ?? (tls === undefined ? 'http' : 'https');
  const url = callbackUrl(own === undefined ? wanted : 'https', host, config.advertisePort);
  await store.update({ callbackUrl: url });
  return { callbackUrl: url, tls, verifyCa: own?.certificate };
}

/** The agent's server, listening on all addresses unless told otherwise. */
async function listen(parts: AgentParts, app: FastifyInstance): Promise<void> {
  const { config, os } = parts;
  const all = (await os.files.exists('/proc/net/if_inet6')) ? '::' : '0.0.0.0';
  await insist(parts, () => app.listen({ host: withoutBrackets(config.listenHost ?? all), port: config.listenPort }));
}

export function makeDeps(
  parts: AgentParts,
  ironic: IronicClient,
  lookup: Lookup,
  more: { leave: (why: Departure) => void; managers: NonNullable<AgentDeps['managers']> },
): AgentDeps {
  const node: AgentDeps['node'] = { current: lookup.node };
  return {
    os: parts.os,
    config: parts.config,
    tlsFiles: parts.tlsFiles,
    setClock: async () => {
      const { ntpServer } = parts.config;
      return ntpServer === undefined ? undefined : setClock(parts.os, ntpServer, parts.signal);
    },
    node,
    inventory: parts.hardware.inventory,
    recentLog: parts.console.recent,
    managers: more.managers,
    ...(parts.inRamdisk && { leave: more.leave }),
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
          ...(endpoint.verifyCa !== undefined && { agent_verify_ca: endpoint.verifyCa }),
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
  const managers = await parts.managers();
  const deps = makeDeps(parts, ironic, lookup, { leave: departure.leave, managers });
  const runner = await makeRunner(parts, deps, heartbeat.force);
  const app = createApp({
    runner,
    token,
    startedAt: os.clock.now() / 1000,
    version: AGENT_VERSION,
    log: console.log,
    onAnswer: departure.answered,
    ...(endpoint.tls && { tls: { ...endpoint.tls, ...tlsLimits(config) } }),
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
