import type { SecureContextOptions } from 'node:tls';

import { AgentError } from '../api/errors.ts';
import { type HttpAnswer, readAnswer } from './http-answer.ts';
import { explainFailure, HttpFailure } from './http-failure.ts';
import { type Client, follow } from './http-follow.ts';
import { createRoutes } from './http-proxy.ts';

/** How an image is fetched; times are milliseconds. Names follow image_info and the kernel parameters. */
export type HttpOptions = {
  /** Longest wait for a connection, for an answer, and between two pieces of it. */
  timeoutMs: number;
  /** Further tries after a failure; the count starts anew whenever bytes came. */
  retries: number;
  retryIntervalMs: number;
  /** How TLS servers are met, as `tls.connect` takes it. */
  tls: SecureContextOptions & { rejectUnauthorized: boolean };
  /** The whole Authorization header. */
  authorization?: string;
  authorize?: Authorize;
  /** More headers, names in lower case. Like the authorization they go to the URL's own server alone. */
  headers?: Readonly<Record<string, string>>;
  /** No cache on the way may answer from what it has. */
  isFresh?: boolean;
  proxies?: { http?: string; https?: string };
  noProxy?: string;
};

/**
 * Answers a 401.
 * @param challenges WWW-Authenticate
 * @param from who asks; only the URL's own server is heard
 * @returns the Authorization header to try, undefined for none
 */
export type Authorize = (challenges: string, from: URL, signal: AbortSignal) => Promise<string | undefined>;

export type HttpClient = {
  name: string;
  /** @throws HttpFailure, or the signal's reason */
  get: (headers: Record<string, string>, signal: AbortSignal) => Promise<HttpAnswer>;
  close: () => Promise<void>;
};

/** A URL as it may stand in a log: temporary URLs carry their signature in the query. */
export function nameOfUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** @param userinfo `user:password` of a URL; a % that escapes nothing is a % */
export function basicHeader(userinfo: string): string {
  const bytes = userinfo.replaceAll(/(?:%[\da-f]{2})+/gi, (text) =>
    Buffer.from(text.replaceAll('%', ''), 'hex').toString(),
  );
  return `Basic ${Buffer.from(bytes).toString('base64')}`;
}

function authorizationOf(url: URL, options: HttpOptions): Record<string, string> {
  if (options.authorization !== undefined) return { authorization: options.authorization };
  return url.username === '' ? {} : { authorization: basicHeader(`${url.username}:${url.password}`) };
}

async function getFrom(
  client: Client,
  start: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  try {
    const { response, at } = await follow(client, start, headers, signal);
    const { statusCode, body } = response;
    try {
      const answer = readAnswer(statusCode, response.headers, body, at.pathname);
      client.landed = at;
      return answer;
    } catch (error) {
      body.destroy();
      throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    const failure = explainFailure(error);
    throw client.isAnonymous && start.protocol === 'https:' ? withCertificateHint(failure) : failure;
  }
}

/** A server of TLS 1.3 looks at the client's certificate after the handshake, and may just hang up. */
function withCertificateHint(failure: HttpFailure): HttpFailure {
  const code = (failure.cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  if (code !== 'UND_ERR_SOCKET' && code !== 'ECONNRESET') return failure;
  return new HttpFailure(
    `${failure.message} before any answer; it may want a certificate of this machine (certfile and keyfile, --cert and --key)`,
    failure.isTransient,
    { cause: failure.cause },
  );
}

/**
 * A client for one URL. Where redirects led the first time it asks at once the next time: another mirror of the same name would
 * have another ETag. When that place fails, the URL itself is asked again, for a place that is still valid.
 * @throws AgentError `ImageDownloadError` when the URL is none of http or https
 */
export function createHttpClient(text: string, options: HttpOptions): HttpClient {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AgentError(
      'ImageDownloadError',
      `cannot fetch ${url ? `a URL of ${url.protocol}//` : 'what is no URL'}: http://, https://, file:// and oci:// work`,
    );
  const routes = createRoutes(options);
  const client: Client = {
    url,
    own: { ...options.headers, ...authorizationOf(url, options) },
    common: { 'accept-encoding': 'identity', ...(options.isFresh && { 'cache-control': 'no-cache' }) },
    routes,
    isAnonymous: options.tls.cert === undefined,
    landed: undefined,
    authorize: options.authorize,
  };
  url.username = '';
  url.password = '';
  return {
    name: nameOfUrl(url),
    get: async (headers, signal) => {
      const { landed } = client;
      if (landed && landed.href !== url.href) {
        try {
          return await getFrom(client, landed, headers, signal);
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof HttpFailure && error.refusesRange) throw error;
          client.landed = undefined;
        }
      }
      return getFrom(client, url, headers, signal);
    },
    close: routes.close,
  };
}
