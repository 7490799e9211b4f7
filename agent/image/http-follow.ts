import { headerOf, type Headers } from './http-answer.ts';
import { HttpFailure } from './http-failure.ts';
import type { Authorize } from './http-request.ts';
import type { Response, Routes } from './http-proxy.ts';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 10;

/** Credentials go where they were meant for: the same origin, or the same name once it insists on TLS. */
function maySeeCredentials(meantFor: URL, url: URL): boolean {
  if (url.origin === meantFor.origin) return true;
  return (
    url.hostname === meantFor.hostname &&
    meantFor.protocol === 'http:' &&
    url.protocol === 'https:' &&
    meantFor.port === '' &&
    url.port === ''
  );
}

function nextHop(from: URL, headers: Headers): URL {
  const location = headerOf(headers, 'location');
  const next = location === undefined ? null : URL.parse(location, from.href);
  if (!next || !/^https?:$/.test(next.protocol))
    throw new HttpFailure('it sends on (redirects) to nowhere that makes sense', false);
  // A server may not say who we are.
  next.username = '';
  next.password = '';
  return next;
}

/** What is asked of one URL, over all requests for it. */
export type Client = {
  url: URL;
  /** For the URL's own server. */
  own: Record<string, string>;
  /** For every server. */
  common: Record<string, string>;
  routes: Routes;
  /** Without a certificate of this machine. */
  isAnonymous: boolean;
  landed: URL | undefined;
  authorize: Authorize | undefined;
};

/** Logs in anew where a 401 says how. Whether there is something to try that was not tried. */
async function logIn(client: Client, response: Response, at: URL, signal: AbortSignal) {
  const challenges = headerOf(response.headers, 'www-authenticate');
  if (response.statusCode !== 401 || challenges === undefined || !maySeeCredentials(client.url, at)) return false;
  const authorization = await client.authorize?.(challenges, at, signal);
  const isNew = authorization !== undefined && authorization !== client.own['authorization'];
  if (isNew) client.own = { ...client.own, authorization };
  return isNew;
}

/**
 * Follows redirects by hand, because each hop decides anew about credentials and proxy.
 * @returns the last answer, and where it came from
 */
export async function follow(client: Client, start: URL, headers: Record<string, string>, signal: AbortSignal) {
  let at = start;
  let isLoggedIn = false;
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const own = maySeeCredentials(client.url, at) ? client.own : {};
    const all = { ...own, ...client.common, ...headers };
    const response: Response = await client.routes.request(at, { signal, headers: all });
    // Its page would be read by nobody, and asking for a token takes its time.
    if (response.statusCode === 401) response.body.destroy();
    if (!isLoggedIn && (await logIn(client, response, at, signal))) isLoggedIn = true;
    else if (REDIRECTS.has(response.statusCode)) at = nextHop(at, response.headers);
    else return { response, at };
    response.body.destroy();
  }
  throw new HttpFailure(`it sends on (redirects) more than ${MOST_REDIRECTS} times`, false);
}
