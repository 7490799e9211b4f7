import { reasonOf } from '../../system/failure.ts';

/** An error of a download; trying again may mend it or not. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly isTransient: boolean;
  /** The part that was asked for is what the server cannot do; it may have the whole. */
  readonly refusesRange: boolean;
  /** The server's own word on when to come back (RFC 9110 10.2.3). */
  readonly retryAfter: string | undefined;
  constructor(
    message: string,
    isTransient: boolean,
    options: { cause?: unknown; refusesRange?: boolean; retryAfter?: string | undefined } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.isTransient = isTransient;
    this.refusesRange = options.refusesRange ?? false;
    this.retryAfter = options.retryAfter;
  }
}

type Words = { says: string; isFinal?: true };

const UNKNOWN_AUTHORITY: Words = {
  says: 'its certificate is not trusted: the authority that signed it is not known here; give the authority’s certificate (cafile, --ca), or let the server send its whole chain',
  isFinal: true,
};
const NO_TLS: Words = {
  says: 'it does not speak TLS on that port; try http:// or another port',
  isFinal: true,
};
const OLD_TLS: Words = {
  says: 'it and this agent have no version of TLS in common; allow 1.2 (tls_min_version), or update the server',
  isFinal: true,
};
const NO_CLIENT_CERTIFICATE: Words = {
  says: 'it wants a certificate of this machine, or another one; give certfile and keyfile (--cert and --key)',
  isFinal: true,
};
const CLOSED: Words = { says: 'it closed the connection' };
const NO_ROUTE: Words = { says: 'there is no way to it from here; check addresses and routes' };

/** By the code of the error: OpenSSL's, libuv's, undici's. Whatever is not here is said with its code and in its own words. */
const WORDS: Readonly<Record<string, Words>> = {
  CERT_HAS_EXPIRED: {
    says: 'its certificate is not trusted: it has expired, or the clock of this machine is wrong',
    isFinal: true,
  },
  CERT_NOT_YET_VALID: {
    says: 'its certificate is not trusted: it is not valid yet, or the clock of this machine is wrong',
    isFinal: true,
  },
  CERT_REVOKED: { says: 'its certificate is not trusted: it was revoked', isFinal: true },
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  ERR_TLS_CERT_ALTNAME_INVALID: {
    says: 'its certificate is not trusted: it is for other names than the one in the URL; use one of those',
    isFinal: true,
  },
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_HTTP_REQUEST: NO_TLS,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: OLD_TLS,
  ERR_SSL_UNSUPPORTED_PROTOCOL: OLD_TLS,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: NO_CLIENT_CERTIFICATE,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: NO_CLIENT_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: NO_CLIENT_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: NO_CLIENT_CERTIFICATE,
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': {
    says: 'it and this agent have no cipher suite in common, or it wants a certificate of this machine (certfile and keyfile, --cert and --key)',
    isFinal: true,
  },
  ENOTFOUND: { says: 'its name is not known to DNS; check the name and the name servers' },
  EAI_AGAIN: { says: 'DNS does not answer; check the name servers' },
  ECONNREFUSED: { says: 'nothing listens on that port, or a firewall refuses' },
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  UND_ERR_SOCKET: CLOSED,
  UND_ERR_CONNECT_TIMEOUT: { says: 'no connection came about in time' },
  UND_ERR_HEADERS_TIMEOUT: { says: 'it took the request and did not answer in time' },
  UND_ERR_BODY_TIMEOUT: { says: 'it stopped sending' },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { says: 'it sent another number of bytes than its Content-Length says' },
};

/** TLS fails the same way the next time. */
const TLS = /^(?:CERT_|UNABLE_TO_|ERR_TLS|ERR_SSL)/;

/** A proxy that is asked for a tunnel answers in undici's words alone. */
function explainProxy(message: string): HttpFailure | undefined {
  const [, status] =
    /^Proxy response \((\d{3})\)/.exec(message) ?? /^Proxy Authentication Required \((407)\)/.exec(message) ?? [];
  if (status === undefined) return undefined;
  const hint = status === '407' ? ': it wants a user and a password (http://USER:PASSWORD@PROXY)' : '';
  return new HttpFailure(`the proxy answered ${status}${hint}`, Number(status) >= 500);
}

/** What broke a request or a body, in words that say what to look at. Never has anything of the request in it. */
export function explainFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const proxy = explainProxy(reasonOf(error));
  if (proxy) return proxy;
  const words = WORDS[code];
  const own = code ? `${code}: ${reasonOf(error)}` : reasonOf(error);
  if (words) return new HttpFailure(`${words.says} (${own})`, !words.isFinal, { cause: error });
  return new HttpFailure(own, !TLS.test(code), { cause: error });
}

/** Whether a failure is that of a server without TLS. */
export function speaksNoTls(failure: unknown): boolean {
  if (!(failure instanceof HttpFailure)) return false;
  return WORDS[(failure.cause as NodeJS.ErrnoException | undefined)?.code ?? ''] === NO_TLS;
}

const STATUS: Readonly<Record<number, string>> = {
  401: 'it wants credentials, or other ones; a token may have run out',
  403: 'it does not allow this; a temporary URL may have run out',
  404: 'there is no such file',
  410: 'the file is gone for good',
  416: 'it refuses the part of the file that was asked for',
  429: 'too many requests',
};

/** 4xx that say "later": RFC 9110 15.5.9, RFC 8470, RFC 6585. */
const LATER = new Set([408, 425, 429]);

/** An answer that has no file in it. */
export function statusFailure(status: number, retryAfter: string | undefined): HttpFailure {
  const words = STATUS[status];
  return new HttpFailure(`it answered ${status}${words ? ` (${words})` : ''}`, status >= 500 || LATER.has(status), {
    refusesRange: status === 416,
    retryAfter,
  });
}
