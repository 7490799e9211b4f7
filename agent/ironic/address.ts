import { isIPv6 } from 'node:net';

import { defineFailures, reasonOf } from '../../system/failure.ts';
import type { Clock } from '../os/door.ts';
import type { HttpAnswer } from './http.ts';

export const addressFailure = defineFailures({
  NO_ADDRESS: {
    message: (detail) => `cannot find the address that Ironic can call this agent at: ${detail}`,
    hint: 'check DHCP and routes, or set ipa-advertise-host',
  },
});

/** Link-local addresses mean nothing to a server behind a router. */
export function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || /^fe[89ab][0-9a-f]:/i.test(address);
}

/** `::ffff:192.0.2.1` is what an IPv6 socket calls 192.0.2.1; a zone belongs to this machine alone. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}

/**
 * The own address to advertise: that of a connection which reached the API. (IPA resolves the API's name and asks the routing
 * table, which is the same address by a longer way, and wrong where there are several names or tables.)
 * @throws Failure `NO_ADDRESS` after all attempts
 */
export async function findAdvertisedAddress(options: {
  advertiseHost: string | undefined;
  probe: (signal: AbortSignal) => Promise<HttpAnswer>;
  attempts: number;
  sleepSeconds: number;
  clock: Clock;
  signal: AbortSignal;
}): Promise<string> {
  if (options.advertiseHost !== undefined) return options.advertiseHost.replace(/^\[(.*)\]$/, '$1');
  let reason = 'the API was never asked';
  for (let attempt = 0; attempt < Math.max(1, options.attempts); attempt += 1) {
    if (attempt > 0) await options.clock.sleep(options.sleepSeconds * 1000, options.signal);
    try {
      const { localAddress } = await options.probe(options.signal);
      const address = plain(localAddress ?? '');
      if (address !== '' && !isLinkLocal(address)) return address;
      reason = `the API is reached from ${address || 'an unknown address'}, which is link-local`;
    } catch (error) {
      options.signal.throwIfAborted();
      reason = reasonOf(error);
    }
  }
  throw addressFailure('NO_ADDRESS', reason);
}

/** `https://192.0.2.10:9999`: IPv6 in brackets, no path, no slash at the end. */
export function callbackUrl(protocol: 'http' | 'https', address: string, port: number): string {
  return `${protocol}://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}
