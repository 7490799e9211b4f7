import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server } from 'node:net';

import { createCertificate } from '../../../../agent/ironic/certificate.ts';
import { API, PORTS } from '../names.ts';
import { relay, type Target } from './relay.ts';
import { type Exchange, withoutSecrets } from './wire.ts';

const HEARTBEAT = /^\/v1\/heartbeat\//;

export type Recorder = AsyncDisposable & {
  /** Begins a flow: what was said before is forgotten. */
  begin: () => void;
  /** @returns what was said since, in the order of its beginnings, without secrets */
  take: () => Exchange[];
};

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

type Beat = { callback_url?: unknown; agent_verify_ca?: unknown };

/**
 * Stands between agent and Ironic in both directions and writes down what they say; nothing that either sees is changed but the
 * address and certificate under which the conductor finds the agent. It asks the agent under the address and with the
 * certificate that the agent itself gave, and it has another certificate of its own for each one of the agent's, so that the
 * conductor sees a change exactly where there was one.
 */
export async function startRecorder(): Promise<Recorder> {
  const start = performance.now();
  let exchanges: Exchange[] = [];
  const now = () => Math.round(performance.now() - start) / 1000;
  const tell = (exchange: Exchange) => void exchanges.push(exchange);
  const own = new Map<string, { certificate: string; key: string }>();
  let agent: Target | undefined;
  const toAgent = createTlsServer({ minVersion: 'TLSv1.3' }, (request, response) => {
    const target = () => {
      if (agent === undefined) throw new Error('no heartbeat has said where the agent is');
      return agent;
    };
    void relay(request, response, { from: 'conductor', target, now, tell });
  });
  const becomeAgent = (path: string, body: string): string => {
    if (!HEARTBEAT.test(path)) return body;
    const beat = JSON.parse(body) as Beat;
    if (typeof beat.callback_url !== 'string' || typeof beat.agent_verify_ca !== 'string') return body;
    agent = { url: beat.callback_url, ca: beat.agent_verify_ca };
    let ours = own.get(beat.agent_verify_ca);
    if (ours === undefined) {
      ours = createCertificate({ host: '127.0.0.1', commonName: 'recorder', curve: 'p256', times: [Date.now()] });
      own.set(beat.agent_verify_ca, ours);
    }
    toAgent.setSecureContext({ cert: ours.certificate, key: ours.key });
    const callback = `https://127.0.0.1:${PORTS.recordedAgent}`;
    return JSON.stringify({ ...beat, callback_url: callback, agent_verify_ca: ours.certificate });
  };
  const toIronic = createServer((request, response) => {
    void relay(request, response, { from: 'agent', target: () => ({ url: API }), change: becomeAgent, now, tell });
  });
  await listen(toIronic, PORTS.recordedApi);
  await listen(toAgent, PORTS.recordedAgent);
  return {
    begin: () => {
      exchanges = [];
    },
    take: () => {
      const inOrder = exchanges.toSorted((a, b) => a.at - b.at);
      const first = inOrder[0]?.at ?? 0;
      const since = (at: number) => Math.round((at - first) * 1000) / 1000;
      const said = withoutSecrets(inOrder.map((one) => ({ ...one, at: since(one.at) })));
      exchanges = [];
      return said;
    },
    [Symbol.asyncDispose]: async () => {
      for (const server of [toIronic, toAgent]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
}
