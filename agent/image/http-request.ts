import type { SecureContextOptions } from 'node:tls';

import type { Dispatcher } from 'undici';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';

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
  /** More headers, names in lower case. */
  headers?: Readonly<Record<string, string>>;
  proxies?: { http?: string; https?: string };
  noProxy?: string;
};

/** One answer with a body: status 200 or 206. */
export type HttpAnswer = {
  /** Position in the file of the body's first byte. */
  start: number;
  isPartial: boolean;
  /** Bytes of the whole file. */
  sizeBytes: number | undefined;
  etag: string | undefined;
  lastModified: string | undefined;
  body: AsyncIterable<Uint8Array> & { destroy: () => unknown };
};

/** An error that trying again cannot mend, or can. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly isTransient: boolean;
  constructor(message: string, isTransient: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isTransient = isTransient;
  }
}

export type HttpClient = {
  name: string;
  get: (headers: Record<string, string>, signal: AbortSignal) => Promise<HttpAnswer>;
  close: () => Promise<void>;
};

const TRY_AGAIN = new Set([408, 425, 429]);
const TLS_ERRORS = /CERT|SELF_SIGNED|ERR_TLS|ERR_SSL|UNABLE_TO_(?:VERIFY|GET_ISSUER)/;

/** A URL as it may stand in a log: temporary URLs carry their signature in the query. */
export function nameOfUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function explain(error: unknown): HttpFailure {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (TLS_ERRORS.test(code))
    return new HttpFailure(
      `its certificate is not trusted (${code}: ${reasonOf(error)}); check the clock and the CA`,
      false,
    );
  return new HttpFailure(code ? `${code}: ${reasonOf(error)}` : reasonOf(error), true, { cause: error });
}

function header(headers: Dispatcher.ResponseData['headers'], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function readAnswer(status: number, headers: Dispatcher.ResponseData['headers'], body: HttpAnswer['body']): HttpAnswer {
  const encoding = header(headers, 'content-encoding');
  if (encoding !== undefined && encoding !== 'identity')
    throw new HttpFailure(
      `it answered with Content-Encoding ${encoding}, although the bytes as they are were asked for`,
      false,
    );
  const common = { etag: header(headers, 'etag'), lastModified: header(headers, 'last-modified'), body };
  if (status === 200)
    return { ...common, start: 0, isPartial: false, sizeBytes: wholeNumber(header(headers, 'content-length')) };
  const match = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(header(headers, 'content-range') ?? '');
  if (!match) throw new HttpFailure('it answered 206 without a Content-Range that makes sense', false);
  return { ...common, start: Number(match[1]), isPartial: true, sizeBytes: wholeNumber(match[2]) };
}

type Undici = typeof import('undici');

function makeDispatcher({ Agent, EnvHttpProxyAgent, interceptors }: Undici, options: HttpOptions): Dispatcher {
  const connect = { timeout: options.timeoutMs, ...options.tls };
  const common = { connect, headersTimeout: options.timeoutMs, bodyTimeout: options.timeoutMs, connections: 1 };
  const { proxies, noProxy } = options;
  const agent = proxies
    ? new EnvHttpProxyAgent({
        ...common,
        // The connection to a proxy, and the one through it to the server, take none of `connect`.
        proxyTls: options.tls,
        requestTls: options.tls,
        ...(proxies.http !== undefined && { httpProxy: proxies.http }),
        ...(proxies.https !== undefined && { httpsProxy: proxies.https }),
        ...(noProxy !== undefined && { noProxy }),
      })
    : new Agent(common);
  return agent.compose(interceptors.redirect({ maxRedirections: 5 }));
}

function authorizationOf(url: URL, options: HttpOptions): Record<string, string> {
  if (options.authorization !== undefined) return { authorization: options.authorization };
  if (url.username === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/**
 * A client for one URL.
 * @throws AgentError `ImageDownloadError` when the URL is none of http or https
 */
export function createHttpClient(text: string, options: HttpOptions): HttpClient {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AgentError(
      'ImageDownloadError',
      `cannot fetch ${url ? nameOfUrl(url) : text}: only http:// and https:// URLs work`,
    );
  // A third of the agent's code, which no machine needs before its first image: loaded with it.
  let loaded: Promise<{ request: Undici['request']; dispatcher: Dispatcher }> | undefined;
  const load = async () => {
    const undici = await import('undici');
    return { request: undici.request, dispatcher: makeDispatcher(undici, options) };
  };
  const fixed = { ...options.headers, 'accept-encoding': 'identity', ...authorizationOf(url, options) };
  url.username = '';
  url.password = '';
  return {
    name: nameOfUrl(url),
    get: async (headers, signal) => {
      const { request, dispatcher } = await (loaded ??= load());
      let response: Dispatcher.ResponseData;
      try {
        response = await request(url, { dispatcher, signal, headers: { ...fixed, ...headers } });
      } catch (error) {
        signal.throwIfAborted();
        throw explain(error);
      }
      const { statusCode, body } = response;
      // An aborted body emits an error that nobody waits for any more.
      body.on('error', () => undefined);
      try {
        if (statusCode !== 200 && statusCode !== 206)
          throw new HttpFailure(`it answered ${statusCode}`, statusCode >= 500 || TRY_AGAIN.has(statusCode));
        return readAnswer(statusCode, response.headers, body);
      } catch (error) {
        body.destroy();
        throw error;
      }
    },
    close: async () => (await loaded)?.dispatcher.destroy(),
  };
}

/** What broke a body that was being read, as a failure that may be tried again. */
export function bodyFailure(error: unknown): HttpFailure {
  return error instanceof HttpFailure ? error : explain(error);
}
