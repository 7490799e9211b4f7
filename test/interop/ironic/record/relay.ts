import { type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';

import { type Exchange, meaningfulHeaders, parseBody } from './wire.ts';

export type Target = {
  url: string;
  /** PEM of the only certificate to trust, for https. */
  ca?: string;
};

type Answer = { status: number; headers: IncomingMessage['headers']; body: string };

function ask(target: Target, incoming: IncomingMessage, body: string): Promise<Answer> {
  const send = target.ca === undefined ? httpRequest : httpsRequest;
  // The length may have changed with the body; all else is passed on as it came, the host's name included.
  const { 'content-length': _, 'transfer-encoding': __, connection: ___, ...headers } = incoming.headers;
  return new Promise((resolve, reject) => {
    const outgoing = send(
      new URL(incoming.url ?? '/', target.url),
      {
        method: incoming.method,
        headers: { ...headers, ...(body !== '' && { 'content-length': Buffer.byteLength(body) }) },
        ...(target.ca !== undefined && { ca: target.ca }),
        agent: false,
      },
      (answer) =>
        void text(answer).then(
          (given) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: given }),
          reject,
        ),
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/**
 * Passes one request on and its answer back, and says what both were.
 * @param change what the other side gets instead of the body, if it is something else than what came
 */
export async function relay(
  incoming: IncomingMessage,
  response: ServerResponse,
  options: {
    from: Exchange['from'];
    target: () => Target;
    change?: (path: string, body: string) => string;
    now: () => number;
    tell: (exchange: Exchange) => void;
  },
): Promise<void> {
  const at = options.now();
  const body = await text(incoming);
  const path = incoming.url ?? '/';
  const said = {
    at,
    from: options.from,
    method: incoming.method ?? '',
    path,
    requestHeaders: meaningfulHeaders(incoming.headers),
    requestBody: parseBody(body),
  };
  try {
    const answer = await ask(options.target(), incoming, options.change?.(path, body) ?? body);
    options.tell({ ...said, status: answer.status, responseBody: parseBody(answer.body) });
    const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers;
    response.writeHead(answer.status, { ...headers, 'content-length': Buffer.byteLength(answer.body) });
    response.end(answer.body);
  } catch {
    // As if we were not there: whoever asked sees a connection that breaks.
    response.destroy();
  }
}
