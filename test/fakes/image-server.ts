import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

/** How a web server treats the one file that it has. Each answer asks `behave` anew. */
export type ServerBehaviour = {
  content: Buffer;
  /** Instead of 200 or 206. */
  status?: number;
  etag?: string;
  /** Answers every request with the whole file. */
  withoutRange?: boolean;
  withoutLength?: boolean;
  /** Breaks the connection after so many bytes of the body. */
  dropAfter?: number;
  /** Sends so many bytes of the body and then nothing more. */
  stallAfter?: number;
  headers?: Record<string, string>;
  /** Content-Length and Content-Range, whatever is sent. */
  lengthSaid?: number;
  rangeSaid?: string;
  /** Gives at most so many bytes for one range, and says so. */
  mostBytes?: number;
};

export type ImageServer = {
  url: string;
  /** What was asked for: "GET /image.raw bytes=0-65535". */
  requests: string[];
  /** Header lines of each request. */
  headers: IncomingMessage['headers'][];
  close: () => Promise<void>;
};

function answer(request: IncomingMessage, response: ServerResponse, behaviour: ServerBehaviour): void {
  const { content, status, etag, headers } = behaviour;
  const common = { ...headers, ...(etag !== undefined && { etag }) };
  if (status !== undefined) {
    response.writeHead(status, common).end('<html>no</html>');
    return;
  }
  const range = behaviour.withoutRange ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const start = range && isSame ? Number(range[1]) : 0;
  const wanted = range && isSame && range[2] !== '' ? Math.min(Number(range[2]) + 1, content.length) : content.length;
  const end = range && isSame ? Math.min(wanted, start + (behaviour.mostBytes ?? content.length)) : wanted;
  const body = content.subarray(start, end);
  const length = behaviour.withoutLength ? {} : { 'content-length': behaviour.lengthSaid ?? body.length };
  if (range && isSame)
    response.writeHead(206, {
      ...common,
      ...length,
      'content-range': behaviour.rangeSaid ?? `bytes ${start}-${end - 1}/${content.length}`,
    });
  else response.writeHead(200, { ...common, ...length });
  const cut = behaviour.dropAfter ?? behaviour.stallAfter;
  if (cut === undefined || cut >= body.length) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, cut), () => {
    // Bytes that were written must arrive before the connection breaks.
    if (behaviour.dropAfter !== undefined) setTimeout(() => response.destroy(), 20);
  });
}

/**
 * A web server on the loopback with one file.
 * @param behave called for each request with its number from 0 on
 * @param tls makes it an HTTPS server
 */
export async function startImageServer(
  behave: (index: number, request: IncomingMessage) => ServerBehaviour,
  tls?: ServerOptions,
): Promise<ImageServer> {
  const requests: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const index = requests.length;
    requests.push(`${request.method} ${request.url} ${request.headers.range ?? 'whole'}`);
    headers.push(request.headers);
    answer(request, response, behave(index, request));
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}/images/image.raw`,
    requests,
    headers,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
