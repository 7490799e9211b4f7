import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Seen = {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: unknown;
};
export type FakeAnswer = { status: number; body?: unknown; text?: string };

/** A small Ironic on loopback: it knows one node, and a test may answer in its place. */
export type FakeIronic = {
  url: string;
  seen: Seen[];
  /** The node's properties, as a lookup tells them. */
  properties: Record<string, unknown>;
  /** Answers instead of the node's own, while it is set; undefined leaves it to the fake. */
  override: ((seen: Seen) => FakeAnswer | undefined) | undefined;
  /** Resolves at the next request that fits. */
  next: (fits: (seen: Seen) => boolean) => Promise<Seen>;
  close: () => Promise<void>;
};

export const NODE_UUID = '6c8c0a0e-6f0f-4a37-8f6a-0d3b3d1f2a55';
export const TOKEN = 'a-token-that-is-as-long-as-the-real-ones-are';

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? undefined : JSON.parse(text);
}

/**
 * @param maximum the API version that it says it has
 * @param host the loopback address that it listens on
 */
export async function startFakeIronic(maximum = '1.96', host = '127.0.0.1'): Promise<FakeIronic> {
  let tokenGiven = false;
  const waiting: { fits: (seen: Seen) => boolean; resolve: (seen: Seen) => void }[] = [];
  const answer = (seen: Seen): FakeAnswer => {
    if (seen.path === '/') return { status: 200, body: { default_version: { id: 'v1', version: maximum } } };
    if (seen.path === '/v1/lookup') {
      const agent_token = tokenGiven ? '******' : TOKEN;
      tokenGiven = true;
      const node = {
        uuid: NODE_UUID,
        properties: fake.properties,
        instance_info: {},
        driver_internal_info: {},
        links: [],
      };
      return {
        status: 200,
        body: { node, config: { heartbeat_timeout: 300, agent_token, agent_token_required: true } },
      };
    }
    if (seen.path === `/v1/heartbeat/${NODE_UUID}`) return { status: 202 };
    if (seen.path === '/v1/continue_inspection') return { status: 202, body: { uuid: NODE_UUID } };
    return { status: 404, body: { error_message: JSON.stringify({ faultstring: 'Not found.' }) } };
  };
  const fake: FakeIronic = {
    url: '',
    seen: [],
    properties: {},
    override: undefined,
    next: (fits) => new Promise((resolve) => waiting.push({ fits, resolve })),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://fake');
    const { method = '', headers } = request;
    const seen: Seen = { method, path: url.pathname, query: url.searchParams, headers, body: await readBody(request) };
    fake.seen.push(seen);
    const { status, body, text } = fake.override?.(seen) ?? answer(seen);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(text ?? (body === undefined ? '' : JSON.stringify(body)));
    for (const waiter of waiting.filter((candidate) => candidate.fits(seen))) {
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.resolve(seen);
    }
  };
  const server: Server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  fake.url = `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  return fake;
}
