import { isIPv6 } from 'node:net';

import { defineFailures, reasonOf } from '../../system/failure.ts';
import type { Clock, NetworkAddress } from '../os/door.ts';
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

export type AddressOptions = {
  advertiseHost: string | undefined;
  /** Own IPv4 address of the interface that was asked for; undefined when none was. */
  interfaceAddress: { name: string; find: () => string | undefined } | undefined;
  /** One for each URL of the API. */
  probes: () => ((signal: AbortSignal) => Promise<HttpAnswer>)[];
  attempts: number;
  sleepSeconds: number;
  clock: Clock;
  signal: AbortSignal;
};

/** @returns the address, or why there is none */
async function look(options: AddressOptions): Promise<{ address: string } | { reason: string }> {
  if (options.interfaceAddress !== undefined) {
    const address = options.interfaceAddress.find();
    return address === undefined
      ? { reason: `${options.interfaceAddress.name} (ipa-network-interface) has no IPv4 address` }
      : { address };
  }
  const reasons: string[] = [];
  for (const probe of options.probes()) {
    try {
      const { localAddress } = await probe(options.signal);
      const address = plain(localAddress ?? '');
      if (address !== '' && !isLinkLocal(address)) return { address };
      reasons.push(`the API is reached from ${address || 'an unknown address'}, which is link-local`);
    } catch (error) {
      options.signal.throwIfAborted();
      reasons.push(reasonOf(error));
    }
  }
  return { reason: reasons.join('; ') };
}

/**
 * The own address to advertise: that of a connection which reached the API, at the first of its URLs that is not reached from a
 * link-local address. (IPA resolves the API's name and asks the routing table, which is the same address by a longer way, and
 * another one where there are several names or tables.)
 * @throws Failure `NO_ADDRESS` after all attempts
 */
export async function findAdvertisedAddress(options: AddressOptions): Promise<string> {
  if (options.advertiseHost !== undefined) return withoutBrackets(options.advertiseHost);
  for (let attempt = 1; ; attempt += 1) {
    const found = await look(options);
    if ('address' in found) return found.address;
    if (attempt >= options.attempts) throw addressFailure('NO_ADDRESS', found.reason);
    await options.clock.sleep(options.sleepSeconds * 1000, options.signal);
  }
}

/** `[2001:db8::1]` is how URLs write it. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** `https://192.0.2.10:9999`: IPv6 in brackets, no path, no slash at the end. */
export function callbackUrl(protocol: 'http' | 'https', address: string, port: number): string {
  return `${protocol}://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** The first IPv4 address of an interface that other machines can use. */
export function ipv4Of(addresses: readonly NetworkAddress[], name: string): string | undefined {
  return addresses.find((entry) => entry.interface === name && entry.family === 4 && !isLinkLocal(entry.address))
    ?.address;
}
