import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';

import type { Heartbeat } from '../../../agent/api/ironic.ts';
import type { Exchange, Held, RecordedIronic } from '../../fakes/recorded-ironic.ts';
import { compare, type Difference } from './compare.ts';

export const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'wire');

/** Tokens of a recording are replaced by `<AGENT_TOKEN_1>` and so on; a replay needs some that are long enough. */
export const tokenOf = (name: string): string => `replayed-${name.replaceAll(/\W/g, '')}`.padEnd(43, 'x');

/**
 * @param name file of test/fixtures/wire
 * @param replace texts of the recording that are others in the replay, such as an image's URL and checksum
 */
export function recording(name: string, replace: Readonly<Record<string, string>> = {}): Exchange[] {
  let text = readFileSync(join(FIXTURES, `${name}.json`), 'utf8');
  for (const [from, to] of Object.entries(replace)) text = text.replaceAll(from, to);
  return JSON.parse(text.replaceAll(/<AGENT_TOKEN_\w+>/g, tokenOf)) as Exchange[];
}

/** Headers of the agent that Ironic acts on. */
const HEADERS = ['accept', 'content-type', 'x-openstack-ironic-api-version', 'x-openstack-request-id'];

const splitPath = (path: string): { path: string; query: Record<string, string> } => {
  const url = new URL(path, 'http://agent');
  return { path: url.pathname, query: Object.fromEntries(url.searchParams) };
};

function compareRequest(at: string, exchange: Exchange, held: Held): Difference[] {
  const headers = (of: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(HEADERS.filter((name) => of[name] !== undefined).map((name) => [name, of[name]]));
  const isInventory = exchange.path.startsWith('/v1/continue_inspection');
  return [
    ...compare(
      at,
      { method: exchange.method, ...splitPath(exchange.path) },
      { method: held.method, ...splitPath(held.path) },
    ),
    ...compare(`${at} headers`, headers(exchange.requestHeaders), headers(held.headers)),
    ...compare(`${at} body`, exchange.requestBody, held.body, isInventory ? 'types' : 'values'),
  ];
}

type Answer = { status: number; headers: Record<string, unknown>; body: unknown };

/** As the conductor calls: over TLS it trusts nothing but the certificate of the heartbeat. */
export function callAgent(beat: Heartbeat, method: string, path: string, body: unknown): Promise<Answer> {
  const send = beat.callback_url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = send(
      `${beat.callback_url}${path}`,
      { method, headers: { 'content-type': 'application/json' }, ca: beat.agent_verify_ca },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => {
          let parsed: unknown = text;
          try {
            parsed = JSON.parse(text);
          } catch {
            // an answer without JSON is compared as the text that it is
          }
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: parsed });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body === null ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
  });
}

function compareAnswer(at: string, exchange: Exchange, answer: Answer): Difference[] {
  const location = exchange.responseHeaders?.['location'];
  const path = (url: unknown): string => new URL(String(url)).pathname;
  return [
    ...compare(`${at} status`, exchange.status, answer.status),
    ...(location === undefined ? [] : compare(`${at} location`, path(location), path(answer.headers['location']))),
    ...(typeof exchange.responseBody === 'string' ? [] : compare(`${at} answer`, exchange.responseBody, answer.body)),
  ];
}

/** `4 POST clean.get_clean_steps`, `3 agent POST /v1/heartbeat`: what a reader finds again in the recording. */
function nameOf(index: number, exchange: Exchange): string {
  const command = (exchange.requestBody as { name?: unknown } | null)?.name;
  const path = exchange.path.replace(/\?.*/, '').replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'UUID');
  const who = exchange.from === 'agent' ? 'agent ' : '';
  return `${index + 1} ${who}${exchange.method} ${typeof command === 'string' ? command : path}`;
}

const TIMEOUT_MS = 15_000;

export type Replay = {
  differences: Difference[];
  /** What the agent sent beyond the recording: `GET /`. */
  extra: string[];
  beat: Heartbeat | undefined;
};

/**
 * Answers a running agent as it was recorded and sends it the conductor's recorded commands, each when its turn comes.
 * @param before called before each exchange, with its place
 * @param isExtra requests that the agent may send beside the recorded ones; they get the recorded answer to the same request
 */
export async function replay(
  exchanges: readonly Exchange[],
  ironic: RecordedIronic,
  isExtra: (held: Held) => boolean,
  before: (index: number) => void = () => undefined,
): Promise<Replay> {
  const result: Replay = { differences: [], extra: [], beat: undefined };
  const answerExtra = async (held: Held): Promise<void> => {
    const same = exchanges.find(
      ({ from, method, path }) => from === 'agent' && method === held.method && path === held.path,
    );
    result.extra.push(`${held.method} ${held.path}`);
    await held.answer(same?.status ?? 404, same?.responseBody ?? null);
  };
  const takeFor = async (exchange: Exchange): Promise<Held> => {
    for (;;) {
      const held = await ironic.take(TIMEOUT_MS);
      const isWanted = held.method === exchange.method && splitPath(held.path).path === splitPath(exchange.path).path;
      if (isWanted || !isExtra(held)) return held;
      await answerExtra(held);
    }
  };
  for (const [index, exchange] of exchanges.entries()) {
    const at = nameOf(index, exchange);
    before(index);
    if (exchange.from === 'agent') {
      const held = await takeFor(exchange).catch((error: Error) => {
        throw new Error(`${at}: ${error.message}`, { cause: error });
      });
      result.differences.push(...compareRequest(at, exchange, held));
      if (exchange.path.startsWith('/v1/heartbeat/')) result.beat = held.body as Heartbeat;
      await held.answer(exchange.status, exchange.responseBody);
    } else {
      if (result.beat === undefined) throw new Error(`${at}: there has been no heartbeat yet`);
      const answer = await callAgent(result.beat, exchange.method, exchange.path, exchange.requestBody);
      result.differences.push(...compareAnswer(at, exchange, answer));
    }
  }
  return result;
}
