import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { findMirror } from '../../builder/debian/mirror.ts';
import type { BuilderHost } from '../../builder/host/door.ts';
import type { DebianPackage } from '../../builder/debian/resolve.ts';

/** What happens to one request; undefined for what a good mirror does. */
export type Mischief = (path: string) => 'die' | ((body: Buffer) => Buffer) | undefined;

/**
 * A copy of Debian's mirror on loopback that can misbehave. Its lists are those of the real mirror, signatures and all; its packages
 * come from the cache where they are there.
 */
export async function startMirror(host: BuilderHost, known: readonly DebianPackage[]) {
  const { main } = await findMirror([]);
  const cached = new Map(known.map((one) => [one.url.slice(main.length), host.cache.path('downloads', one.sha256)]));
  const lists = new Map<string, Promise<Buffer>>();
  const asked: string[] = [];
  let mischief: Mischief = () => undefined;

  async function fetchReal(path: string): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of host.fetchBytes(main + path, AbortSignal.timeout(120_000))) pieces.push(piece);
    return Buffer.concat(pieces);
  }
  async function body(path: string): Promise<Buffer> {
    const file = cached.get(path);
    if (file === undefined || !(await stat(file).catch(() => undefined))) {
      const found = lists.get(path) ?? fetchReal(path);
      lists.set(path, found);
      return found;
    }
    const pieces: Buffer[] = [];
    for await (const piece of createReadStream(file)) pieces.push(piece as Buffer);
    return Buffer.concat(pieces);
  }
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/^\/debian/, '');
    asked.push(path);
    const change = mischief(path);
    if (change === 'die') {
      request.socket.destroy();
      return;
    }
    body(path).then(
      (bytes) => response.end(change ? change(bytes) : bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`,
    /** Paths of all packages that were asked for since the last call. */
    takeAsked: () => asked.splice(0).filter((path) => path.startsWith('/pool/')),
    behave: (next: Mischief) => (mischief = next),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
