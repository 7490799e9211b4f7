import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

export function digestOf(bytes: Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

export type RegistryBehaviour = {
  /** Whom it lets in: everybody, whoever has a password, whoever has a token of its own token server (with a password, if there is one). */
  login?: 'none' | 'basic' | 'token';
  /** `user:password` */
  password?: string;
  /** Tokens are good for so many requests. */
  tokenUses?: number;
  /** Blobs are elsewhere: the address of a server that has each under `/DIGEST`. */
  blobsAt?: string;
  /** WWW-Authenticate, whatever it wants. */
  challenge?: string;
};

export type FakeRegistry = {
  /** Host and port. */
  host: string;
  /** "GET PATH AUTHORIZATION" of each request. */
  requests: string[];
  /** Stores a blob, returns its digest; under another one, where the registry is to lie. */
  addBlob: (bytes: Uint8Array, digest?: string) => string;
  /** Stores a manifest or index under its digest and the tags, returns the digest. */
  addManifest: (value: unknown, ...tags: string[]) => string;
  close: () => Promise<void>;
};

/**
 * A small OCI registry on the loopback with one repository, `lab/disk`. Not one of the real ones: it has what pulling needs
 * (manifests by tag and digest, blobs with Range, Basic and token logins, redirects to another host) and nothing else.
 */
export async function startRegistry(
  behaviour: () => RegistryBehaviour = () => ({}),
  tls?: ServerOptions,
): Promise<FakeRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const requests: string[] = [];
  const tokens = new Map<string, number>();
  let host = '';
  const base = () => `${tls ? 'https' : 'http'}://${host}`;
  const basicOf = ({ password }: RegistryBehaviour) => `Basic ${Buffer.from(password ?? '').toString('base64')}`;

  const isIn = (request: IncomingMessage, how: RegistryBehaviour): boolean => {
    const { authorization = '' } = request.headers;
    if ((how.login ?? 'none') === 'none') return true;
    if (how.login === 'basic') return authorization === basicOf(how);
    const uses = tokens.get(authorization);
    if (uses === undefined || uses === 0) return false;
    tokens.set(authorization, uses - 1);
    return true;
  };
  const giveToken = (request: IncomingMessage, response: ServerResponse, how: RegistryBehaviour): void => {
    if (how.password !== undefined && request.headers.authorization !== basicOf(how)) {
      response.writeHead(401).end();
      return;
    }
    const token = `token-${tokens.size}`;
    tokens.set(`Bearer ${token}`, how.tokenUses ?? 1000);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: 60 }));
  };
  const send = (request: IncomingMessage, response: ServerResponse, bytes: Buffer | undefined, hasRanges: boolean) => {
    if (!bytes) {
      response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      return;
    }
    const [, from, to] = (hasRanges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')) || [];
    if (from === undefined) {
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      return;
    }
    const end = to ? Math.min(Number(to) + 1, bytes.length) : bytes.length;
    const range = `bytes ${from}-${end - 1}/${bytes.length}`;
    response.writeHead(206, { 'content-range': range }).end(bytes.subarray(Number(from), end));
  };
  const answer: RequestListener = (request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', base());
    requests.push(`${request.method} ${pathname}${search} ${request.headers.authorization ?? 'nobody'}`);
    const how = behaviour();
    if (pathname === '/token') {
      giveToken(request, response, how);
      return;
    }
    if (!isIn(request, how)) {
      const bearer = `Bearer realm="${base()}/token",service="fake, with a comma",scope="repository:lab/disk:pull"`;
      const challenge = how.challenge ?? (how.login === 'basic' ? 'Basic realm="fake"' : bearer);
      response.writeHead(401, { 'www-authenticate': challenge }).end('{}');
      return;
    }
    const [, kind, name = ''] = /^\/v2\/lab\/disk\/(manifests|blobs)\/(.+)$/.exec(pathname) ?? [];
    if (kind === 'blobs' && how.blobsAt !== undefined) {
      response.writeHead(307, { location: `${how.blobsAt}/${name}?signature=1` }).end();
      return;
    }
    send(request, response, (kind === 'blobs' ? blobs : manifests).get(name), kind === 'blobs');
  };
  const server = tls ? createTlsServer(tls, answer) : createServer(answer);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    requests,
    addBlob: (bytes, digest = digestOf(bytes)) => {
      blobs.set(digest, Buffer.from(bytes));
      return digest;
    },
    addManifest: (value, ...tags) => {
      const bytes = Buffer.from(JSON.stringify(value));
      for (const name of [digestOf(bytes), digestOf(bytes, 'sha512'), ...tags]) manifests.set(name, bytes);
      return digestOf(bytes);
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
