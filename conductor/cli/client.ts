import { request } from 'undici';

import { reasonOf } from '../../system/failure.ts';
import { cliFailure } from './failures.ts';

export type NodeJson = {
  uuid: string;
  name: string | null;
  provision_state: string;
  target_provision_state: string | null;
  power_state: string | null;
  target_power_state: string | null;
  last_error: string | null;
  reservation: string | null;
  driver_internal_info: Record<string, unknown>;
  [field: string]: unknown;
};

/** The conductor's REST API, as the commands use it. */
export type Client = {
  url: string;
  get: <T>(path: string) => Promise<T>;
  send: <T>(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown) => Promise<T>;
  node: (ident: string) => Promise<NodeJson>;
};

const DEFAULT_URL = 'http://127.0.0.1:6385';
const TIMEOUT_MS = 60_000;
/** New enough for everything that the commands ask for, and old enough for Ironic of 2023. */
const VERSION = '1.81';

function refusal(status: number, body: unknown) {
  const { error_message: text, hint } = (body ?? {}) as { error_message?: unknown; hint?: unknown };
  let message = `cannot do it: the conductor answers HTTP ${status}`;
  try {
    message = String((JSON.parse(String(text)) as { faultstring: unknown }).faultstring);
  } catch {
    // Not Ironic's form: the status has to do.
  }
  return cliFailure('REFUSED', message, typeof hint === 'string' ? { hint } : {});
}

/** Path of a node; names may hold characters that mean something in a URL. */
export function nodePath(ident: string): string {
  return `/v1/nodes/${encodeURIComponent(ident)}`;
}

/** @param api from `--api`. @throws Failure with exit code 3 when nothing sensible answers, 1 when the request is refused */
export function connect(api: string | undefined, signal: AbortSignal): Client {
  const url = (api ?? process.env['INGOT_API'] ?? DEFAULT_URL).replace(/\/+$/, '');
  const call = async <T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<T> => {
    if (!URL.canParse(url)) throw cliFailure('CONDUCTOR_UNREACHABLE', `${url}: that is no URL`);
    let status: number;
    let text: string;
    try {
      const response = await request(`${url}${path}`, {
        method,
        signal,
        headersTimeout: TIMEOUT_MS,
        bodyTimeout: TIMEOUT_MS,
        headers: {
          accept: 'application/json',
          'x-openstack-ironic-api-version': VERSION,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      signal.throwIfAborted();
      throw cliFailure('CONDUCTOR_UNREACHABLE', `${url}: ${reasonOf(error) || 'no connection'}`, { cause: error });
    }
    let parsed: unknown = null;
    try {
      if (text !== '') parsed = JSON.parse(text);
    } catch (error) {
      throw cliFailure('CONDUCTOR_ANSWER', `${url}${path} gave HTTP ${status} and no JSON`, { cause: error });
    }
    if (status >= 400) throw refusal(status, parsed);
    return parsed as T;
  };
  return {
    url,
    get: (path) => call('GET', path),
    send: call,
    node: (ident) => call('GET', nodePath(ident)),
  };
}
