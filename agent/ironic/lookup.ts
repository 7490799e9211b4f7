import { Value } from 'typebox/value';

import { type Lookup, LookupSchema, MASKED_TOKEN } from '../api/ironic.ts';
import { defineFailures, Failure, reasonOf } from '../../system/failure.ts';
import type { Clock } from '../os/door.ts';
import { type IronicClient, ironicFailure, refusalStatus } from './client.ts';

export const lookupFailure = defineFailures({
  LOOKUP_TIMED_OUT: {
    message: (detail) => `cannot find this machine's node in Ironic: ${detail}`,
    hint: 'check that the node has a port with one of these MACs and is being inspected, cleaned or deployed',
  },
  TOKEN_WITHHELD: {
    message: (detail) => `cannot get an agent token: ${detail}`,
    hint: 'reboot this machine through Ironic, which then gives out a new token',
  },
});

/** Tokens shorter than this are not tokens (IPA `agent.py`). */
const SHORTEST_TOKEN = 32;

/**
 * The token to go on with after a lookup.
 * @throws Failure `TOKEN_WITHHELD` when Ironic has given the token to somebody else: whoever asks now must not serve
 */
export function chooseToken(current: string | undefined, given: string | undefined): string | undefined {
  if (given === MASKED_TOKEN) {
    if (current !== undefined) return current;
    throw lookupFailure('TOKEN_WITHHELD', 'Ironic has already given one out for this boot, and this agent has none');
  }
  return given !== undefined && given.length >= SHORTEST_TOKEN ? given : current;
}

/** Reads the answer of `/v1/lookup`; very old servers have `heartbeat_timeout` at its top. */
export function readLookup(body: unknown): Lookup {
  const raw = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const config = { heartbeat_timeout: raw['heartbeat_timeout'], ...(raw['config'] as object | undefined) };
  const present = Object.fromEntries(
    Object.entries(config).filter(([, value]) => value !== null && value !== undefined),
  );
  const lookup = { ...raw, config: present };
  if (Value.Check(LookupSchema, lookup)) return lookup;
  const error = Value.Errors(LookupSchema, lookup)[0];
  throw ironicFailure(
    'REFUSED',
    `200, but the lookup's ${error?.instancePath || 'body'} ${error?.message ?? 'is wrong'}`,
  );
}

export type LookupOptions = {
  ironic: IronicClient;
  /** MACs of all interfaces, asked anew for each try: a slow NIC may show up late. */
  addresses: () => Promise<readonly string[]>;
  nodeUuid: string | undefined;
  timeoutSeconds: number;
  intervalSeconds: number;
  clock: Clock;
  /** 0 to 1. */
  random: () => number;
  /** Why a try failed, and seconds to the next. */
  onRetry: (error: unknown, waitSeconds: number) => void;
  signal: AbortSignal;
};

const LONGEST_WAIT_SECONDS = 60;
/** Further seconds after a 409: another request holds the node's lock. */
const LOCKED_SECONDS = [5, 10, 30];

/**
 * Asks Ironic for the node until it is told, waiting a random time that grows to a minute.
 * @throws Failure `LOOKUP_TIMED_OUT` after `timeoutSeconds`, with what the last answer was
 */
export async function lookupNode(options: LookupOptions): Promise<Lookup> {
  const { clock, random, signal } = options;
  const start = clock.monotonic();
  let locked = 0;
  for (let attempt = 0; ; attempt += 1) {
    let addresses: readonly string[] = [];
    try {
      addresses = await options.addresses();
      return readLookup(await options.ironic.lookup(addresses, options.nodeUuid, signal));
    } catch (error) {
      signal.throwIfAborted();
      const longest = Math.max(options.intervalSeconds, Math.min(LONGEST_WAIT_SECONDS, 2 ** attempt));
      let wait = options.intervalSeconds + random() * (longest - options.intervalSeconds);
      if (refusalStatus(error) === 409) {
        wait += LOCKED_SECONDS[Math.min(locked, LOCKED_SECONDS.length - 1)] ?? 0;
        locked += 1;
      }
      const waited = (clock.monotonic() - start) / 1000;
      if (waited + wait > options.timeoutSeconds) {
        const hint = error instanceof Failure ? error.hint : undefined;
        const tries = `${attempt + 1} tries in ${Math.round(waited)} s with MACs ${addresses.join(', ') || 'none'}`;
        throw lookupFailure('LOOKUP_TIMED_OUT', `${tries}, the last one: ${reasonOf(error)}`, {
          cause: error,
          ...(hint !== undefined && { hint }),
        });
      }
      options.onRetry(error, wait);
      await clock.sleep(wait * 1000, signal);
    }
  }
}
