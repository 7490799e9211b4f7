import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One exchange as the agent and Ironic had it; `at` is seconds since the recording began, `path` has its query. */
export type Exchange = {
  at: number;
  from: 'agent' | 'conductor';
  method: string;
  path: string;
  /** Names in lower case. */
  requestHeaders: Record<string, string>;
  requestBody: unknown;
  status: number;
  responseHeaders?: Record<string, string>;
  responseBody: unknown;
};

/** A request of the agent that waits for its answer. */
export type Held = {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: unknown;
  answer: (status: number, body: unknown) => Promise<void>;
};

export type RecordedIronic = {
  url: string;
  /** The next request of the agent, in the order of their arrival. @throws when none comes in time */
  take: (timeoutMs: number) => Promise<Held>;
  close: () => Promise<void>;
};

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? null : (JSON.parse(text) as unknown);
}

/** An Ironic API whose every answer is given by the test, in the order in which the agent asks. */
export async function startRecordedIronic(): Promise<RecordedIronic> {
  const held: Held[] = [];
  let arrived: () => void = () => undefined;
  const hold = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    held.push({
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body,
      answer: (status, answer) =>
        new Promise((resolve) => {
          response.writeHead(status, answer === null ? {} : { 'content-type': 'application/json' });
          response.end(answer === null ? '' : JSON.stringify(answer), resolve);
        }),
    });
    arrived();
  };
  const server = createServer((request, response) => void hold(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: async (timeoutMs) => {
      if (held.length === 0) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve, reject) => {
          arrived = resolve;
          timer = setTimeout(() => reject(new Error(`the agent sent nothing for ${timeoutMs} ms`)), timeoutMs);
        }).finally(() => clearTimeout(timer));
      }
      return held.shift() as Held;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
