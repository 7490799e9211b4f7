import { BlockList, isIP } from 'node:net';

import type { Dispatcher } from 'undici';

import { leaveBehind } from '../../system/collect.ts';
import { headerOf } from './http-answer.ts';
import type { HttpOptions } from './http-request.ts';
import { createTap } from './http-tap.ts';

function isInSubnet(host: string, entry: string): boolean {
  const [, network, prefix] = /^\[?([\da-f.:]+)\]?\/(\d{1,3})$/i.exec(entry) ?? [];
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4';
  if (network === undefined || isIP(host) === 0 || isIP(network) !== isIP(host)) return false;
  if (Number(prefix) > (family === 'ipv6' ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), family);
  return list.check(host, family);
}

/**
 * Whether a server is reached without the proxy: `no_proxy` as the field writes it, names with all that lies below them,
 * addresses, networks (10.0.0.0/8), ports, and `*`.
 */
export function isWithoutProxy(url: URL, noProxy: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*' || isInSubnet(host, entry)) return true;
      const [, name = entry, ofPort] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry) ?? [];
      if (ofPort !== undefined && ofPort !== port) return false;
      const bare = name.replace(/^\*?\.|^\[|\]$/g, '');
      return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`));
    });
}

type Request = { signal: AbortSignal; headers: Record<string, string> };
type Undici = typeof import('undici');

/** An answer, its body not yet read. A chunk of that is valid until the next one is asked for. */
export type Response = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers'> & {
  body: AsyncIterable<Uint8Array> & { destroy: () => unknown };
};

export type Routes = {
  /** GET, by way of the proxy where there is one for this URL. Redirects are not followed. */
  request: (url: URL, request: Request) => Promise<Response>;
  close: () => Promise<void>;
};

function commonOptions({ timeoutMs }: HttpOptions) {
  return { headersTimeout: timeoutMs, bodyTimeout: timeoutMs, allowH2: false } as const;
}

function makeRoute({ Agent, ProxyAgent }: Undici, options: HttpOptions, proxy: string): Dispatcher {
  const { timeoutMs, tls } = options;
  if (proxy === '') return new Agent({ ...commonOptions(options), connect: { timeout: timeoutMs, ...tls } });
  // The connection to a proxy, and the one through it to the server, take nothing of `connect`.
  return new ProxyAgent({
    ...commonOptions(options),
    uri: proxy,
    connectTimeout: timeoutMs,
    proxyTls: tls,
    requestTls: tls,
  });
}

/** A part that ends somewhere behind the beginning is short, and its connection is used again. */
function mayBeLong({ headers }: Request): boolean {
  return !/^bytes=[1-9]\d*-\d+$/.test(headers['range'] ?? '');
}

/** One request on a connection of its own, the long body of which does not go through Node's streams. */
async function requestByTap(
  { Client, buildConnector, errors }: Undici,
  options: HttpOptions,
  url: URL,
  request: Request,
  open: Set<Dispatcher>,
): Promise<Response> {
  const { timeoutMs, tls } = options;
  const tap = createTap();
  const connect = buildConnector({ allowH2: false, timeout: timeoutMs, ...tls, onread: tap.onread });
  const client = new Client(url.origin, {
    ...commonOptions(options),
    // Undici sees nothing of a long body, and would take that for a server that stalls.
    bodyTimeout: 0,
    connect: (to, callback) =>
      connect(to, (...result) => {
        if (result[1]) tap.attach(result[1]);
        callback(...result);
      }),
  });
  open.add(client);
  const end = async () => {
    open.delete(client);
    await client.destroy();
  };
  try {
    const response = await client.request({ path: url.pathname + url.search, method: 'GET', ...request });
    const { statusCode, headers, body } = response;
    body.on('error', tap.fail);
    body.once('close', () => void end());
    const isTapped = tap.hasBody(Number(headerOf(headers, 'content-length')));
    const bytes = isTapped ? tap.body() : collected(body);
    const stall = () => void body.destroy(new errors.BodyTimeoutError());
    const leave = () => void body.destroy();
    const chunks = withoutStalls(bytes, timeoutMs, stall, leave);
    return { statusCode, headers, body: Object.assign(chunks, { destroy: leave }) };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Each piece of Node's streams is garbage when the next one comes. */
async function* collected(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    leaveBehind(chunk.length);
  }
}

/**
 * @param stall called when nothing comes for so long although somebody waits; it makes `chunks` end
 * @param leave called when nothing more is read: Node's streams close a connection then, a tap does not
 */
async function* withoutStalls(
  chunks: AsyncIterable<Uint8Array>,
  timeoutMs: number,
  stall: () => void,
  leave: () => void,
) {
  const iterator = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const timer = setTimeout(stall, timeoutMs);
      const next = await iterator.next().finally(() => clearTimeout(timer));
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
    leave();
  }
}

/** Connections of one download, by way of proxies where the options say so. */
export function createRoutes(options: HttpOptions): Routes {
  const { proxies, noProxy } = options;
  const open = new Map<string, Dispatcher>();
  const tapped = new Set<Dispatcher>();
  // A third of the agent's code, which no machine needs before its first image: loaded with it.
  let loaded: Promise<Undici> | undefined;
  return {
    request: async (url, request) => {
      const undici = await (loaded ??= import('undici'));
      const wanted = url.protocol === 'https:' ? proxies?.https : proxies?.http;
      const proxy = wanted === undefined || isWithoutProxy(url, noProxy ?? '') ? '' : wanted;
      if (proxy === '' && mayBeLong(request)) return requestByTap(undici, options, url, request, tapped);
      const dispatcher = open.get(proxy) ?? makeRoute(undici, options, proxy);
      open.set(proxy, dispatcher);
      const { statusCode, headers, body } = await undici.request(url, { ...request, dispatcher });
      // An aborted body emits an error that nobody waits for any more.
      body.on('error', () => undefined);
      return { statusCode, headers, body: Object.assign(collected(body), { destroy: () => body.destroy() }) };
    },
    close: async () => {
      await Promise.all([...open.values(), ...tapped].map((route) => route.destroy()));
    },
  };
}
