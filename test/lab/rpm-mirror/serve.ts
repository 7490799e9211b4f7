import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** A folder on loopback. */
export type ServedFolder = {
  url: string;
  /** Paths that were asked for, in order. */
  asked: string[];
  /** Answers in place of the folder; undefined leaves it to the folder, 'hang up' breaks the connection. */
  override: ((path: string) => Buffer | number | 'hang up' | undefined) | undefined;
  close: () => Promise<void>;
};

async function answer(
  served: ServedFolder,
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<unknown> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://mirror').pathname);
  served.asked.push(path);
  const special = served.override?.(path);
  if (special === 'hang up') return request.socket.destroy();
  if (typeof special === 'number') return response.writeHead(special).end();
  if (special !== undefined) return response.end(special);
  const file = join(folder, normalize(path));
  const facts = await stat(file).catch(() => undefined);
  if (!facts?.isFile()) return response.writeHead(404).end();
  response.writeHead(200, { 'content-length': facts.size });
  return createReadStream(file).pipe(response);
}

/** Serves a folder on loopback until it is closed. */
export async function serveFolder(folder: string, port = 0): Promise<ServedFolder> {
  const server = createServer((request, response) => void answer(served, folder, request, response));
  const served: ServedFolder = {
    url: '',
    asked: [],
    override: undefined,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return served;
}
