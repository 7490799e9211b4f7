import { type Heartbeat, VERSION_HEADER } from '../api/ironic.ts';
import { defineFailures, Failure, reasonOf } from '../../system/failure.ts';
import type { Http, HttpAnswer, HttpRequest } from './http.ts';

/** Minor API versions at which Ironic learnt something, and the highest that the agent asks for (IPA `ironic_api_client.py`). */
export const API_MINOR = { agentVersion: 36, agentToken: 62, agentVerifyCa: 68 } as const;
const HIGHEST_FOR_LOOKUP = 62;
const HIGHEST_FOR_HEARTBEAT = 68;
/** What is assumed of a server that does not say its version. */
const ASSUMED_MINOR = 31;

export const ironicFailure = defineFailures({
  REFUSED: { message: (detail) => `cannot get what was asked for: Ironic answered ${detail}` },
});

/** An answer of Ironic that is not what was asked for. */
export type Refusal = Failure & { status: number };

/** The words of Ironic's error body, in any of the forms that its versions have; at most 300 characters. */
export function faultText(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
    for (let depth = 0; depth < 3 && typeof value === 'object' && value !== null; depth += 1) {
      const fault = value as { error_message?: unknown; faultstring?: unknown };
      value = fault.faultstring ?? fault.error_message;
      if (typeof value === 'string' && value.startsWith('{')) value = JSON.parse(value);
    }
  } catch {
    value = undefined;
  }
  const words = typeof value === 'string' ? value : text.replaceAll(/<[^>]*>/g, ' ');
  return words.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}

/** Status of a refusal by the server, undefined for anything else. */
export function refusalStatus(error: unknown): number | undefined {
  return error instanceof Failure && error.code === 'REFUSED' ? (error as Refusal).status : undefined;
}

function refusal(answer: HttpAnswer): Failure {
  const words = faultText(answer.text);
  return Object.assign(ironicFailure('REFUSED', `${answer.status}${words ? `: ${words}` : ''}`), {
    status: answer.status,
  });
}

export type IronicClient = {
  /** Minor version of the API, asked once; @throws Failure when no server says it */
  serverMinor: (signal?: AbortSignal) => Promise<number>;
  /** @returns the answer's parsed body; @throws Failure `REFUSED` (with `status`) or `NO_ANSWER` */
  lookup: (addresses: readonly string[], nodeUuid?: string, signal?: AbortSignal) => Promise<unknown>;
  /** Sends what this server's version understands of the beat. @throws as `lookup` */
  heartbeat: (nodeUuid: string, beat: Heartbeat, signal?: AbortSignal) => Promise<void>;
  /** Any answer from any of the URLs: the last one that there was, else a new one. @throws Failure `NO_ANSWER` */
  probe: (signal?: AbortSignal) => Promise<HttpAnswer>;
  /**
   * Any answer from one of the URLs, for each of them, the one that worked last first. What came last from a URL is taken for it once, so
   * that an agent that has just been answered need not ask again.
   */
  probes: () => ((signal?: AbortSignal) => Promise<HttpAnswer>)[];
};

export type IronicClientOptions = {
  /** In the order in which they are tried; the one that works is remembered. */
  urls: readonly string[];
  http: Http;
  /** Server's version, known beforehand: `1.68`. */
  apiVersion?: string | undefined;
  requestId?: string | undefined;
};

type RootBody = { default_version?: { version?: unknown } };

function minorOf(version: unknown): number | undefined {
  const match = typeof version === 'string' ? /^1\.(\d{1,4})$/.exec(version) : null;
  return match ? Number(match[1]) : undefined;
}

type Send = {
  (path: string, request: Omit<HttpRequest, 'url'>): Promise<HttpAnswer>;
  /** In the order in which they are tried. */
  urls: () => readonly string[];
  /** What came last from each of them. */
  answers: Map<string, HttpAnswer>;
  last: () => HttpAnswer | undefined;
};

/** Tries the URLs in turn; only the lack of an answer leads to the next one. */
function createSend(options: IronicClientOptions): Send {
  let urls = [...options.urls];
  let latest: HttpAnswer | undefined;
  const answers = new Map<string, HttpAnswer>();
  const common = options.requestId === undefined ? {} : { 'X-OpenStack-Request-ID': options.requestId };
  const send = async (path: string, request: Omit<HttpRequest, 'url'>): Promise<HttpAnswer> => {
    let last: unknown;
    for (const [index, url] of urls.entries()) {
      try {
        const headers = { ...common, ...request.headers };
        const answer = await options.http({ ...request, url: `${url}${path}`, headers });
        urls = [...urls.slice(index), ...urls.slice(0, index)];
        // Without its text, which may be as long as a node with a config drive.
        latest = { ...answer, text: '' };
        answers.set(url, latest);
        return answer;
      } catch (error) {
        request.signal?.throwIfAborted();
        last = error;
      }
    }
    throw last;
  };
  return Object.assign(send, { urls: () => urls, answers, last: () => latest });
}

/** Asks for the server's version until it is known. */
function createVersion(send: Send, given: string | undefined): (signal?: AbortSignal) => Promise<number> {
  let known = minorOf(given);
  return async (signal) => {
    if (known !== undefined) return known;
    const answer = await send('/', { method: 'GET', ...(signal && { signal }) });
    if (answer.status !== 200) throw refusal(answer);
    try {
      known = minorOf((JSON.parse(answer.text) as RootBody | null)?.default_version?.version);
    } catch {
      known = undefined;
    }
    if (known === undefined) throw ironicFailure('REFUSED', '200, but the body does not say its API version');
    return known;
  };
}

function versionHeader(minor: number, highest: number): Record<string, string> {
  return { [VERSION_HEADER]: `1.${Math.min(minor, highest)}` };
}

export function createIronicClient(options: IronicClientOptions): IronicClient {
  const send = createSend(options);
  const serverMinor = createVersion(send, options.apiVersion);

  /** The version to work with now; one that had to be assumed is asked for again the next time. */
  const workingMinor = async (signal?: AbortSignal): Promise<number> => {
    try {
      return await serverMinor(signal);
    } catch {
      signal?.throwIfAborted();
      return ASSUMED_MINOR;
    }
  };

  return {
    serverMinor,
    probe: async (signal) => send.last() ?? send('/', { method: 'GET', ...(signal && { signal }) }),
    probes: () =>
      send.urls().map((url) => async (signal) => {
        const known = send.answers.get(url);
        send.answers.delete(url);
        return known ?? options.http({ method: 'GET', url: `${url}/`, ...(signal && { signal }) });
      }),
    lookup: async (addresses, nodeUuid, signal) => {
      const query = new URLSearchParams({ addresses: addresses.join(',') });
      if (nodeUuid !== undefined) query.set('node_uuid', nodeUuid);
      const headers = versionHeader(await workingMinor(signal), HIGHEST_FOR_LOOKUP);
      const answer = await send(`/v1/lookup?${query.toString()}`, {
        method: 'GET',
        headers,
        ...(signal && { signal }),
      });
      if (answer.status !== 200) throw refusal(answer);
      try {
        return JSON.parse(answer.text) as unknown;
      } catch (cause) {
        throw ironicFailure('REFUSED', `200, but not with JSON: ${reasonOf(cause)}`, { cause });
      }
    },
    heartbeat: async (nodeUuid, beat, signal) => {
      const minor = await workingMinor(signal);
      const body = {
        callback_url: beat.callback_url,
        ...(minor >= API_MINOR.agentToken && { agent_token: beat.agent_token }),
        ...(minor >= API_MINOR.agentVersion && { agent_version: beat.agent_version }),
        ...(minor >= API_MINOR.agentVerifyCa && beat.agent_verify_ca && { agent_verify_ca: beat.agent_verify_ca }),
      };
      const answer = await send(`/v1/heartbeat/${encodeURIComponent(nodeUuid)}`, {
        method: 'POST',
        headers: versionHeader(minor, HIGHEST_FOR_HEARTBEAT),
        body: JSON.stringify(body),
        ...(signal && { signal }),
      });
      if (answer.status !== 202) throw refusal(answer);
    },
  };
}
