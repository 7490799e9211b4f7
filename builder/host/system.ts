import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EnvHttpProxyAgent, request } from 'undici';

import { reasonOf } from '../../system/failure.ts';
import { type Run, systemRun, systemStart } from '../../system/run.ts';
import { defaultCacheRoot, openCache } from './cache.ts';
import type { BuilderHost, FetchBytes } from './door.ts';
import { hostFailure } from './failures.ts';

/** The proxies that the host's APT uses; where it has none, those of the environment are used. */
async function aptProxies(run: Run): Promise<{ httpProxy?: string; httpsProxy?: string }> {
  const { stdout } = await run(
    'apt-config',
    ['dump', '--format', '%F=%v%n', 'Acquire::http::Proxy', 'Acquire::https::Proxy'],
    {
      okExitCodes: [0, 100],
    },
  );
  const value = (key: string) => new RegExp(`^${key}=(.+)$`, 'm').exec(stdout)?.[1];
  const http = value('Acquire::http::Proxy');
  const https = value('Acquire::https::Proxy') ?? http;
  return { ...(http && { httpProxy: http }), ...(https && { httpsProxy: https }) };
}

function fetcher(dispatcher: () => Promise<EnvHttpProxyAgent>, offline: boolean): FetchBytes {
  return async function* fetchBytes(url, signal) {
    if (url.startsWith('file:') || url.startsWith('copy:')) {
      yield* createReadStream(fileURLToPath(url.replace(/^copy:/, 'file:')), { signal });
      return;
    }
    if (offline) throw hostFailure('OFFLINE', `${url} is not in the cache`);
    try {
      const { statusCode, body } = await request(url, { signal, dispatcher: await dispatcher() });
      if (statusCode !== 200) {
        await body.dump();
        throw new Error(`the server answered ${statusCode}`);
      }
      yield* body;
    } catch (error) {
      signal.throwIfAborted();
      throw hostFailure('DOWNLOAD_FAILED', `${url}: ${reasonOf(error)}`, { cause: error });
    }
  };
}

/**
 * This machine as the builder sees it.
 * @param options.cache folder of the cache; `~/.cache/ingot` unless said
 * @param options.offline refuses to fetch anything but files of this machine
 */
export async function openHost(options: { cache?: string | undefined; offline?: boolean } = {}): Promise<BuilderHost> {
  const offline = options.offline ?? false;
  let agent: Promise<EnvHttpProxyAgent> | undefined;
  const dispatcher = () =>
    (agent ??= aptProxies(systemRun).then(
      (proxies) => new EnvHttpProxyAgent({ ...proxies, connections: 4, headersTimeout: 30_000, bodyTimeout: 60_000 }),
    ));
  return {
    run: systemRun,
    start: systemStart,
    offline,
    fetchBytes: fetcher(dispatcher, offline),
    cache: await openCache(options.cache ?? defaultCacheRoot()),
  };
}
