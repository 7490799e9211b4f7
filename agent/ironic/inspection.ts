import { defineFailures, reasonOf } from '../../system/failure.ts';
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
/** Before try n + 1: 1.5 * 2^n seconds, not less than 5 and not more than 30 (IPA `inspector.py`). */
export function inspectionWaitSeconds(attempt: number): number {
  return Math.min(30, Math.max(5, 1.5 * 2 ** attempt));
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

async function post(url: string, body: string, options: InspectionOptions): Promise<HttpAnswer> {
  const headers = options.requestId === undefined ? {} : { 'X-OpenStack-Request-ID': options.requestId };
  for (let attempt = 1; ; attempt += 1) {
    let reason: string;
    try {
      // No API version header: the answer with 1.1 is the node's UUID alone, which is all that is wanted here.
      const answer = await options.http({ method: 'POST', url, headers, body, signal: options.signal });
      if (!isTransient(answer.status) || attempt === ATTEMPTS) return answer;
      reason = `${answer.status}: ${faultText(answer.text)}`;
    } catch (error) {
      options.signal.throwIfAborted();
      if (attempt === ATTEMPTS) throw error;
      reason = reasonOf(error);
    }
    const wait = inspectionWaitSeconds(attempt);
    options.onRetry(reason, wait);
    await options.clock.sleep(wait * 1000, options.signal);
  }
}

function uuidOf(text: string): string | undefined {
  try {
    const body = JSON.parse(text) as { uuid?: unknown; node?: { uuid?: unknown } } | null;
    const uuid = body?.uuid ?? body?.node?.uuid;
    return typeof uuid === 'string' ? uuid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Posts the inventory. The next URL is tried only when one cannot be reached.
 * @returns the node's UUID, where the server says it
 * @throws Failure `INSPECTION_REFUSED` (do not try again) or `INSPECTION_UNREACHABLE` (try again later)
 */
export async function postInspection(options: InspectionOptions): Promise<string | undefined> {
  const body = JSON.stringify(options.payload);
  const reasons: string[] = [];
  for (const url of options.urls) {
    let answer: HttpAnswer;
    try {
      answer = await post(url, body, options);
    } catch (error) {
      options.signal.throwIfAborted();
      reasons.push(reasonOf(error));
      continue;
    }
    if (answer.status < 400) return uuidOf(answer.text);
    const code = isTransient(answer.status) ? 'INSPECTION_UNREACHABLE' : 'INSPECTION_REFUSED';
    throw inspectionFailure(code, `${new URL(url).origin} answered ${answer.status}: ${faultText(answer.text)}`);
  }
  throw inspectionFailure('INSPECTION_UNREACHABLE', reasons.join('; '));
}
