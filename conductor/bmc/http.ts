import { Agent, request } from 'undici';

import { Failure, reasonOf } from '../../system/failure.ts';
import type { Clock } from '../os/door.ts';
import { bmcFailure } from './failures.ts';
import type { RedfishSettings } from './settings.ts';

export type RedfishResponse = { status: number; headers: Record<string, string>; body: Record<string, unknown> };
export type RedfishRequest = {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
};

/** One BMC's HTTP: login, retries, JSON. `close` ends the session on the BMC, which has few of them. */
export type RedfishHttp = {
  send: (request: RedfishRequest) => Promise<RedfishResponse>;
  close: () => Promise<void>;
};

/** BMCs answer slowly, the more so while they start. */
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 5;
const RETRY_STATUSES = [502, 503, 504];
/** Nothing has reached the BMC when these are seen, so that even a reset may be sent again. */
const NOT_SENT = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'];
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/;

function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return typeof code === 'string' ? code : cause === undefined ? '' : codeOf(cause);
}

/** The messages that a BMC puts into an error body (DSP0266, "Error responses"). */
export function redfishErrorText(body: Record<string, unknown>): string {
  const error = body['error'] as { message?: unknown; '@Message.ExtendedInfo'?: unknown } | undefined;
  const extended = error?.['@Message.ExtendedInfo'];
  const messages = (Array.isArray(extended) ? extended : [])
    .map((item) => (item as { Message?: unknown }).Message)
    .filter((message): message is string => typeof message === 'string' && message !== '');
  if (messages.length > 0) return messages.join(' ');
  return typeof error?.message === 'string' ? error.message : 'it gave no reason';
}

function parseBody(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}

async function sendOnce(settings: RedfishSettings, dispatcher: Agent, what: RedfishRequest): Promise<RedfishResponse> {
  const response = await request(new URL(what.path, settings.address), {
    method: what.method,
    dispatcher,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    headers: {
      accept: 'application/json',
      'odata-version': '4.0',
      ...(what.body !== undefined && { 'content-type': 'application/json' }),
      ...what.headers,
    },
    ...(what.body !== undefined && { body: JSON.stringify(what.body) }),
    ...(what.signal && { signal: what.signal }),
  });
  const headers = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
  return { status: response.statusCode, headers, body: parseBody(await response.body.text()) };
}

async function sendWithRetries(
  settings: RedfishSettings,
  dispatcher: Agent,
  clock: Clock,
  what: RedfishRequest,
): Promise<RedfishResponse> {
  const origin = settings.address.origin;
  for (let attempt = 1; ; attempt++) {
    const last = attempt === ATTEMPTS;
    let pauseMs = 1000 * 2 ** (attempt - 1);
    try {
      const response = await sendOnce(settings, dispatcher, what);
      if (!RETRY_STATUSES.includes(response.status) || last) return response;
      const after = Number(response.headers['retry-after']);
      if (after > 0) pauseMs = Math.min(after * 1000, 30_000);
    } catch (error) {
      what.signal?.throwIfAborted();
      const code = codeOf(error);
      if (CERTIFICATE.test(code))
        throw bmcFailure('BMC_CERTIFICATE', `${origin}: ${reasonOf(error)}`, { cause: error });
      const mayRepeat = what.method === 'GET' || NOT_SENT.includes(code);
      if (!mayRepeat || last)
        throw bmcFailure('BMC_UNREACHABLE', `${origin}: ${reasonOf(error) || code}`, { cause: error });
    }
    await clock.sleep(pauseMs, what.signal);
  }
}

type Session = { token: string; location: string | undefined };

/**
 * Opens nothing yet; the first request logs in. `auto` means basic authentication, and a session where the BMC refuses that:
 * a session costs three requests and one of the few places that BMCs have for them.
 */
export function redfishHttp(settings: RedfishSettings, clock: Clock): RedfishHttp {
  const dispatcher = new Agent({
    connect: {
      timeout: 15_000,
      ...(settings.verifyCa === false && { rejectUnauthorized: false }),
      ...(typeof settings.verifyCa === 'string' && { ca: settings.verifyCa }),
    },
  });
  const origin = settings.address.origin;
  let useSession = settings.authType === 'session';
  let session: Session | undefined;
  const basic = `Basic ${Buffer.from(`${settings.username}:${settings.password}`).toString('base64')}`;
  const raw = (what: RedfishRequest) => sendWithRetries(settings, dispatcher, clock, what);

  const openSession = async (signal: AbortSignal | undefined): Promise<Session> => {
    const body = { UserName: settings.username, Password: settings.password };
    const response = await raw({ method: 'POST', path: '/redfish/v1/SessionService/Sessions', body, signal });
    const token = response.headers['x-auth-token'];
    if (response.status >= 400 || token === undefined) {
      throw bmcFailure('BMC_LOGIN', `${origin} as ${settings.username}: ${redfishErrorText(response.body)}`);
    }
    return { token, location: response.headers['location'] };
  };
  const authorized = async (what: RedfishRequest): Promise<RedfishResponse> => {
    if (settings.username === '') return raw(what);
    if (!useSession) return raw({ ...what, headers: { ...what.headers, authorization: basic } });
    session ??= await openSession(what.signal);
    return raw({ ...what, headers: { ...what.headers, 'x-auth-token': session.token } });
  };

  return {
    send: async (what) => {
      let response = await authorized(what);
      if (response.status === 401 && settings.username !== '' && settings.authType !== 'basic') {
        // Basic authentication is switched off, or the session has ended: a new session, once.
        useSession = true;
        session = undefined;
        response = await authorized(what);
      }
      if (response.status === 401 || response.status === 403) {
        const why = response.status === 401 ? 'the BMC refuses the login' : 'the account lacks the right';
        throw bmcFailure('BMC_LOGIN', `${origin} as ${settings.username || 'nobody'}: ${why}`);
      }
      return response;
    },
    close: async () => {
      if (session?.location !== undefined) {
        const path = new URL(session.location, settings.address).pathname;
        // A session that cannot be ended runs out by itself.
        await sendOnce(settings, dispatcher, {
          method: 'DELETE',
          path,
          headers: { 'x-auth-token': session.token },
        }).catch((error: unknown) => error instanceof Failure);
      }
      await dispatcher.close();
    },
  };
}
