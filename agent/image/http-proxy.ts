import { BlockList, isIP } from 'node:net';

import type { Dispatcher } from 'undici';

import type { HttpOptions } from './http-request.ts';

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

export type Routes = {
  /** GET, by way of the proxy where there is one for this URL. Redirects are not followed. */
  request: (url: URL, request: Request) => Promise<Dispatcher.ResponseData>;
  close: () => Promise<void>;
};

function makeRoute({ Agent, ProxyAgent }: Undici, { timeoutMs, tls }: HttpOptions, proxy: string): Dispatcher {
  const common = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs, allowH2: false };
  if (proxy === '') return new Agent({ ...common, connect: { timeout: timeoutMs, ...tls } });
  // The connection to a proxy, and the one through it to the server, take nothing of `connect`.
  return new ProxyAgent({ ...common, uri: proxy, connectTimeout: timeoutMs, proxyTls: tls, requestTls: tls });
}

/** Connections of one download, by way of proxies where the options say so. */
export function createRoutes(options: HttpOptions): Routes {
  const { proxies, noProxy } = options;
  const open = new Map<string, Dispatcher>();
  // A third of the agent's code, which no machine needs before its first image: loaded with it.
  let loaded: Promise<Undici> | undefined;
  return {
    request: async (url, request) => {
      const undici = await (loaded ??= import('undici'));
      const wanted = url.protocol === 'https:' ? proxies?.https : proxies?.http;
      const proxy = wanted === undefined || isWithoutProxy(url, noProxy ?? '') ? '' : wanted;
      const dispatcher = open.get(proxy) ?? makeRoute(undici, options, proxy);
      open.set(proxy, dispatcher);
      return undici.request(url, { ...request, dispatcher });
    },
    close: async () => {
      await Promise.all([...open.values()].map((route) => route.destroy()));
    },
  };
}
