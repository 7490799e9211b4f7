import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { CommandResult, Step } from '../../agent/api/command.ts';
import type { Heartbeat } from '../../agent/api/ironic.ts';
import { NODE_UUID } from './ironic.ts';

/**
 * An Ironic that cleans or deploys one node by the rules of the real one (agent-protocol B.5, C and J.2): a token is given out once and
 * then masked, a beat with another address, certificate or token is refused, every decision follows from a beat and from the
 * last command in the agent's list.
 */
export type StrictIronic = {
  url: string;
  /** `working`, then `done` or `failed: why`. */
  outcome: () => string;
  /** Steps of which it believes that they were done. */
  done: string[];
  /** Beats that were refused, and why. */
  refused: string[];
  beats: Heartbeat[];
  /** Called when a request has come in (`before`) and when its answer is on its way (`after`). */
  on: (when: 'before' | 'after', request: string) => void;
  /** What switching the machine off by Ironic does: token, address and certificate are forgotten. */
  forget: () => void;
  close: () => Promise<void>;
};

/** Milliseconds: more patience than an agent needs that is started again at once, however slow the machine is. */
const RETRY_MS = 100;
const PATIENCE_MS = 15_000;
const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function startStrictIronic(kind: 'clean' | 'deploy' = 'clean'): Promise<StrictIronic> {
  let outcome = 'working';
  let token: string | undefined;
  let known: Heartbeat | undefined;
  let isLocked = false;
  let steps: Step[] | undefined;
  let current = 0;

  const call = async (method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> => {
    const beat = known as Heartbeat;
    const start = performance.now();
    for (;;) {
      try {
        return await new Promise((resolve, reject) => {
          const url = `${beat.callback_url}/v1/commands/?${path}agent_token=${token}`;
          const sent = httpsRequest(url, { method, ca: beat.agent_verify_ca, agent: false }, (answer) => {
            let text = '';
            answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
            answer.on('error', reject);
            answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) as unknown }));
          });
          sent.on('error', reject);
          sent.end(body === undefined ? undefined : JSON.stringify(body));
        });
      } catch (error) {
        if (performance.now() - start > PATIENCE_MS) throw error;
        await pause(RETRY_MS);
      }
    }
  };
  const command = async (name: string, params: object, wait: boolean): Promise<CommandResult | 'busy'> => {
    const all = { name, params: { node: { uuid: NODE_UUID }, ports: [], ...params } };
    const { status, body } = await call('POST', `wait=${wait}&`, all);
    if (status === 409) return 'busy';
    if (status !== 200) throw new Error(`${name} was answered ${status}: ${JSON.stringify(body)}`);
    return body as CommandResult;
  };
  const startStep = async (): Promise<void> => {
    const step = steps?.[current];
    if (step === undefined) outcome = 'done';
    else await command(`${kind}.execute_${kind}_step`, { step }, false);
  };
  const listSteps = async (): Promise<void> => {
    const result = await command(`${kind}.get_${kind}_steps`, {}, true);
    if (result === 'busy') return;
    if (result.command_status !== 'SUCCEEDED') throw new Error(`no steps: ${result.command_error?.details}`);
    const lists = (result.command_result as Record<string, Record<string, Step[]>>)[`${kind}_steps`];
    steps = Object.values(lists ?? {})
      .flat()
      .toSorted((a, b) => b.priority - a.priority);
    await startStep();
  };
  const nextStep = async (): Promise<void> => {
    const { commands } = (await call('GET', '')).body as { commands: CommandResult[] };
    const last = commands.at(-1);
    if (commands.every(({ command_name: name }) => name === `get_${kind}_steps`)) {
      // Freshly booted: what was asked for before is taken for done.
      strict.done.push(steps?.[current]?.step ?? '');
      current += 1;
      return startStep();
    }
    if (last?.command_name !== `execute_${kind}_step` || last.command_status === 'RUNNING') return;
    if (last.command_status !== 'SUCCEEDED') throw new Error(last.command_error?.details ?? last.command_status);
    const echo = (last.command_result as Record<string, Step>)[`${kind}_step`];
    if (echo === undefined || echo.step !== steps?.[current]?.step) return;
    strict.done.push(echo.step);
    current += 1;
    await startStep();
  };
  const work = async (): Promise<void> => {
    if (isLocked || outcome !== 'working') return;
    isLocked = true;
    try {
      await (steps === undefined ? listSteps() : nextStep());
    } catch (error) {
      outcome = `failed: ${(error as Error).message}`;
    }
    isLocked = false;
  };

  const refusal = (beat: Heartbeat): string | undefined => {
    if (token === undefined || beat.agent_token !== token) return 'another token';
    if (known && beat.callback_url !== known.callback_url) return 'another callback_url';
    if (known && beat.agent_verify_ca !== known.agent_verify_ca) return 'another certificate';
    return beat.callback_url.startsWith('https://') ? undefined : 'no TLS';
  };
  const answer = (path: string, text: string): { status: number; body?: unknown } => {
    if (path === '/') return { status: 200, body: { default_version: { version: '1.96' } } };
    if (path === '/v1/lookup') {
      const agent_token = token === undefined ? randomBytes(32).toString('base64url') : '******';
      token ??= agent_token;
      const node = { uuid: NODE_UUID, properties: {}, instance_info: {}, driver_internal_info: {} };
      return { status: 200, body: { node, config: { heartbeat_timeout: 300, agent_token } } };
    }
    if (path !== `/v1/heartbeat/${NODE_UUID}`) return { status: 404 };
    const beat = JSON.parse(text) as Heartbeat;
    const why = refusal(beat);
    if (why !== undefined) {
      strict.refused.push(why);
      return { status: 400, body: { error_message: JSON.stringify({ faultstring: why }) } };
    }
    known ??= beat;
    strict.beats.push(beat);
    setImmediate(() => void work());
    return { status: 202 };
  };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = (request.url ?? '').replace(/\?.*/, '');
      const { status, body } = answer(path, Buffer.concat(chunks).toString());
      strict.on('before', path);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(body === undefined ? '' : JSON.stringify(body), () => strict.on('after', path));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const strict: StrictIronic = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    outcome: () => outcome,
    done: [],
    refused: [],
    beats: [],
    on: () => undefined,
    forget: () => {
      token = undefined;
      known = undefined;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return strict;
}
