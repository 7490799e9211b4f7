import { Type } from 'typebox';
import { Value } from 'typebox/value';

import { HttpFailure } from './http-failure.ts';
import type { Authorize } from './http-request.ts';
import { type Challenge, parseChallenges } from './oci-challenge.ts';

const TokenSchema = Type.Object({
  token: Type.Optional(Type.String({ minLength: 1 })),
  access_token: Type.Optional(Type.String({ minLength: 1 })),
});

/** @param authorization a Basic header, or nothing; its user is whom the token is for */
type FetchToken = (url: string, authorization: string | undefined, signal: AbortSignal) => Promise<Buffer>;

/**
 * The address of the token server. It is the registry's word, as everywhere in the field: whoever answers for the registry could
 * ask for the password itself. A token server without TLS is asked only for a registry without TLS.
 */
function tokenUrl({ params }: Challenge, from: URL, repository: string): string {
  const realm = URL.parse(params['realm'] ?? '');
  const isFit = realm?.protocol === 'https:' || (realm?.protocol === 'http:' && from.protocol === 'http:');
  if (!realm || !isFit)
    throw new HttpFailure('it wants a token from a place that makes no sense, or has no TLS', false);
  realm.username = '';
  realm.password = '';
  if (params['service'] !== undefined) realm.searchParams.set('service', params['service']);
  realm.searchParams.set('scope', params['scope'] ?? `repository:${repository}:pull`);
  return realm.href;
}

function readToken(bytes: Buffer): string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  const token = Value.Check(TokenSchema, value) ? (value.token ?? value.access_token) : undefined;
  // It goes into a header: RFC 6750 2.1.
  if (token === undefined || !/^[\w.~+/-]+=*$/.test(token))
    throw new HttpFailure('its token server answered without a token', false);
  return token;
}

/**
 * How registries log people in: what they challenge with decides. Basic gets the user and password that there are; Bearer gets a
 * token, for the user or for nobody, from the token server that the challenge names (distribution/docs/spec/auth/token.md).
 * @param given the Authorization header that was asked for, if any; one that is not Basic cannot be had anew
 */
export function registryLogin(repository: string, given: string | undefined, fetchToken: FetchToken): Authorize {
  const basic = /^basic /i.test(given ?? '') ? given : undefined;
  return async (header, from, signal) => {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer) {
      const bytes = await fetchToken(tokenUrl(bearer, from, repository), basic, signal);
      return `Bearer ${readToken(bytes)}`;
    }
    return challenges.some(({ scheme }) => scheme === 'basic') ? basic : undefined;
  };
}
