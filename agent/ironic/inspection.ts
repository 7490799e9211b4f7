import { MASKED_TOKEN } from '../api/ironic.ts';
import { defineFailures, Failure, reasonOf } from '../../system/failure.ts';
import type { Clock } from '../os/door.ts';
import { faultText } from './client.ts';
import type { Http, HttpAnswer } from './http.ts';

export const inspectionFailure = defineFailures({
  INSPECTION_REFUSED: {
    message: (detail) => `cannot hand in the inventory: ${detail}`,
    hint: 'check that the node exists, has a port with a MAC of this machine and is being inspected',
  },
  INSPECTION_UNREACHABLE: {
    message: (detail) => `cannot hand in the inventory: ${detail}`,
    hint: 'check address, cable, VLAN, routes and firewall between this machine and the API',
  },
});

const ATTEMPTS = 5;
/** After try n, from 1: 1.5 * 2^(n - 1) seconds, not less than 5 and not more than 30 (IPA `inspector.py`, by tenacity's wait_exponential). */
export function inspectionWaitSeconds(attempt: number): number {
  return Math.min(30, Math.max(5, 1.5 * 2 ** (attempt - 1)));
}

/** Where inventories go: the callback URLs, else each API's own place for them. */
export function inspectionUrls(callbackUrls: readonly string[], apiUrls: readonly string[]): string[] {
  return callbackUrls.length > 0 ? [...callbackUrls] : apiUrls.map((url) => `${url}/v1/continue_inspection`);
}

export type InspectionOptions = {
  urls: readonly string[];
  payload: unknown;
  http: Http;
  requestId: string | undefined;
  clock: Clock;
  onRetry: (reason: string, waitSeconds: number) => void;
  signal: AbortSignal;
};

const isTransient = (status: number): boolean => status >= 500 || status === 409;

/** One try: the next URL only when one cannot be reached. @throws what the last one failed with */
async function postOnce(body: string, options: InspectionOptions): Promise<{ url: string; answer: HttpAnswer }> {
  const headers = options.requestId === undefined ? {} : { 'X-OpenStack-Request-ID': options.requestId };
  const reasons: string[] = [];
  for (const url of options.urls) {
    try {
      // No API version header: the answer with 1.1 is the node's UUID alone, which is all that is wanted here.
      const answer = await options.http({ method: 'POST', url, headers, body, signal: options.signal });
      return { url, answer };
    } catch (error) {
      options.signal.throwIfAborted();
      reasons.push(reasonOf(error));
    }
  }
  throw inspectionFailure('INSPECTION_UNREACHABLE', reasons.join('; '));
}

/** What the server says of the node; with API 1.84 and later it is a lookup's answer and may hold the one token. */
export type InspectionAnswer = { uuid?: string; token?: string };

function readAnswer(text: string): InspectionAnswer {
  type Body = { uuid?: unknown; node?: { uuid?: unknown }; config?: { agent_token?: unknown } } | null;
  let body: Body;
  try {
    body = JSON.parse(text) as Body;
  } catch {
    return {};
  }
  const uuid = body?.uuid ?? body?.node?.uuid;
  const token = body?.config?.agent_token;
  return {
    ...(typeof uuid === 'string' && { uuid }),
    ...(typeof token === 'string' && token !== MASKED_TOKEN && { token }),
  };
}

/**
 * Posts the inventory, five times in all while no server can be reached or one answers that it is busy or broken.
 * @throws Failure `INSPECTION_REFUSED` (do not try again) or `INSPECTION_UNREACHABLE` (try again later)
 */
export async function postInspection(options: InspectionOptions): Promise<InspectionAnswer> {
  const body = JSON.stringify(options.payload);
  for (let attempt = 1; ; attempt += 1) {
    let failure: Failure;
    try {
      const { url, answer } = await postOnce(body, options);
      if (answer.status < 400) return readAnswer(answer.text);
      const code = isTransient(answer.status) ? 'INSPECTION_UNREACHABLE' : 'INSPECTION_REFUSED';
      failure = inspectionFailure(code, `${new URL(url).origin} answered ${answer.status}: ${faultText(answer.text)}`);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof Failure)) throw error;
      failure = error;
    }
    if (failure.code === 'INSPECTION_REFUSED' || attempt === ATTEMPTS) throw failure;
    const wait = inspectionWaitSeconds(attempt);
    options.onRetry(failure.message, wait);
    await options.clock.sleep(wait * 1000, options.signal);
  }
}
