import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { SecureContextOptions } from 'node:tls';

import { defineFailures, Failure } from '../../system/failure.ts';

/**
 * The small HTTP client for Ironic's API: a few short JSON exchanges. It is Node's own, which the server has loaded anyway and
 * which tells the connection's own address; undici is left to the image writer, so that a waiting agent can do without its memory.
 */
export type HttpRequest = {
  method: 'GET' | 'POST';
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  signal?: AbortSignal;
};

export type HttpAnswer = {
  status: number;
  text: string;
  /** Own address of the connection: the one that this server can be expected to reach. */
  localAddress: string | undefined;
  /** Milliseconds since the epoch, by the server's clock. */
  serverTime: number | undefined;
};

/** @throws Failure `NO_ANSWER` when there is no whole answer, whatever the reason; any status is an answer. */
export type Http = (request: HttpRequest) => Promise<HttpAnswer>;

export const httpFailure = defineFailures({
  NO_ANSWER: {
    message: (detail) => `cannot reach ${detail}`,
    hint: 'check address, cable, VLAN, routes and firewall between this machine and the API',
  },
});

type TlsOptions = SecureContextOptions & { rejectUnauthorized: boolean };

/** A lookup answer carries the node, in the worst case with a config drive in it. */
const LONGEST_ANSWER_BYTES = 96 * 1024 ** 2;

const WHY: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its name is not known to the name server',
  EAI_AGAIN: 'no name server answers',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ECONNRESET: 'it closed the connection',
  ETIMEDOUT: 'it does not answer',
};

function noAnswer(url: string, error: unknown, timeoutMs: number): Failure {
  const { code, message, name } = error as NodeJS.ErrnoException;
  const place = new URL(url).origin;
  if (name === 'TimeoutError') return httpFailure('NO_ANSWER', `${place}: no answer within ${timeoutMs / 1000} s`);
  const isCertificate = /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO/.test(code ?? '');
  const why = WHY[code ?? ''] ?? message;
  return httpFailure('NO_ANSWER', `${place}: ${why}${code === undefined ? '' : ` (${code})`}`, {
    cause: error,
    ...(isCertificate && {
      hint: 'put the right CA into the ramdisk, correct the clock, or set ipa-insecure=1 to take any certificate',
    }),
  });
}

/**
 * @param options.tls how servers are met, as `tls.connect` takes it
 * @param options.timeoutMs longest wait for a whole answer
 */
export function createHttp(options: { tls: TlsOptions; timeoutMs: number }): Http {
  const { tls } = options;
  return async ({ method, url, headers = {}, body, signal }) => {
    const limit = AbortSignal.timeout(options.timeoutMs);
    const all = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const sent = { Accept: 'application/json', 'Content-Type': 'application/json', ...headers };
    const isHttps = url.startsWith('https:');
    try {
      return await new Promise<HttpAnswer>((resolve, reject) => {
        const request = (isHttps ? httpsRequest : httpRequest)(url, {
          method,
          headers: bytes === undefined ? sent : { ...sent, 'Content-Length': bytes.length },
          signal: all,
          ...(isHttps && tls),
        });
        request.on('error', reject);
        request.on('response', (response) => {
          const { localAddress } = response.socket; // gone once the answer has been read
          const chunks: Buffer[] = [];
          let length = 0;
          response.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > LONGEST_ANSWER_BYTES) request.destroy(new Error('the answer is too long'));
            else chunks.push(chunk);
          });
          response.on('error', reject);
          response.on('end', () => {
            const time = Date.parse(response.headers.date ?? '');
            resolve({
              status: response.statusCode ?? 0,
              text: Buffer.concat(chunks).toString('utf8'),
              localAddress,
              serverTime: Number.isNaN(time) ? undefined : time,
            });
          });
        });
        request.end(bytes);
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw noAnswer(url, limit.aborted ? limit.reason : error, options.timeoutMs);
    }
  };
}
