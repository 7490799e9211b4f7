import { randomInt } from 'node:crypto';
import { isIPv6 } from 'node:net';

import { defineFailures } from '../../system/failure.ts';
import type { Clock, Datagram, Exchange, NetworkAddress } from '../os/door.ts';
import { isLinkLocal } from './address.ts';
import { DNS_TYPE, type DnsRecord, encodeQuery, readAnswer } from './dns-message.ts';

/** A service as the network knows it. */
export type MdnsService = {
  url: string;
  /** Options that come with it, `ipa_…`. */
  options: Map<string, string>;
};

export const mdnsFailure = defineFailures({
  NO_SERVICE: {
    message: (detail) => `cannot find ${detail} in this network (mDNS)`,
    hint: 'check that Ironic announces itself ([DEFAULT]enable_mdns) in this network, or give ipa-api-url',
  },
});

const DOMAIN = '_openstack._tcp.local.';
const PORT = 5353;
const IPV4_GROUP = '224.0.0.251';
const IPV6_GROUP = 'ff02::fb';
const TIMEOUT_MS = 3000;

export type MdnsOptions = {
  /** `baremetal`: the API; `baremetal-introspection`: where inventories go. */
  type: 'baremetal' | 'baremetal-introspection';
  exchange: Exchange;
  addresses: () => readonly NetworkAddress[];
  /** Own addresses to ask from; all of them when empty. */
  interfaces: readonly string[];
  attempts: number;
  clock: Clock;
  signal: AbortSignal;
};

/** Once for each IPv4 address of the machine and once for each interface that has IPv6. */
function targets({ addresses, interfaces }: MdnsOptions): Datagram['to'] {
  const own = addresses().filter(
    ({ internal, address, interface: name }) =>
      !internal && (interfaces.length === 0 || interfaces.includes(address) || interfaces.includes(name)),
  );
  const withIpv6 = new Set(own.filter(({ family }) => family === 6).map((entry) => entry.interface));
  return [
    ...own.filter(({ family }) => family === 4).map(({ address }) => ({ host: IPV4_GROUP, port: PORT, from: address })),
    ...[...withIpv6].map((name) => ({ host: `${IPV6_GROUP}%${name}`, port: PORT })),
  ];
}

const isLocalName = (name: string): boolean => name.endsWith('.local.');
const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

/** The first address that this machine has a way to by its family, else the first of all. */
function chooseAddress(found: readonly string[], own: readonly NetworkAddress[]): string | undefined {
  const usable = found.filter((address) => !isLoopback(address));
  const families = new Set(
    own.filter(({ internal, address }) => !internal && !isLinkLocal(address)).map((a) => a.family),
  );
  return usable.find((address) => !isLinkLocal(address) && families.has(isIPv6(address) ? 6 : 4)) ?? usable[0];
}

function readTexts(records: readonly DnsRecord[], name: string): Map<string, string> {
  const pairs = records.flatMap((record) =>
    record.type === 'text' && record.name === name
      ? record.texts.map((bytes) => Buffer.from(bytes).toString('utf8').split(/=(.*)/s, 2))
      : [],
  );
  return new Map(pairs.map(([key = '', value = '']) => [key, value]));
}

/** What the records say of a service; undefined while its host or address is not among them. */
function describe(
  records: readonly DnsRecord[],
  name: string,
  own: readonly NetworkAddress[],
): MdnsService | undefined {
  const service = records.find((record) => record.type === 'service' && record.name === name);
  if (service?.type !== 'service') return undefined;
  const { port, target } = service;
  const addresses = records.flatMap((r) => (r.type === 'address' && r.name === target ? [r.address] : []));
  // A name of this network means nothing to the resolver here; its address does.
  const host = isLocalName(target) ? chooseAddress(addresses, own) : target.replace(/\.$/, '');
  if (host === undefined || host === '') return undefined;
  const options = readTexts(records, name);
  const protocol = options.get('protocol') || (port === 80 ? 'http' : 'https');
  const url = `${protocol}://${isIPv6(host) ? `[${host}]` : host}:${port}${options.get('path') ?? ''}`;
  options.delete('protocol');
  options.delete('path');
  return /^https?:$/.test(`${protocol}:`) && URL.canParse(url) ? { url: url.replace(/\/+$/, ''), options } : undefined;
}

/**
 * Asks the network for a service (RFC 6763, with the names of OpenStack's API guideline). Nobody signs the answer: whoever is
 * in the network can give one.
 * @throws Failure `NO_SERVICE` after all attempts
 */
export async function findService(options: MdnsOptions): Promise<MdnsService> {
  const { clock, signal } = options;
  const name = `${options.type}.${DOMAIN}`;
  const records: DnsRecord[] = [];
  let delay = 100;
  for (let attempt = 1; attempt <= Math.max(1, options.attempts); attempt += 1) {
    if (attempt > 1) {
      await clock.sleep(delay, signal);
      delay *= 2;
    }
    const id = randomInt(1, 0x1_00_00);
    const hosts = records.flatMap((record) => (record.type === 'service' ? [record.target] : []));
    const message = encodeQuery(id, [
      { name, type: DNS_TYPE.SRV },
      { name, type: DNS_TYPE.TXT },
      ...hosts.flatMap((host) => [
        { name: host, type: DNS_TYPE.A },
        { name: host, type: DNS_TYPE.AAAA },
      ]),
    ]);
    const accept = (bytes: Uint8Array): MdnsService | undefined => {
      records.push(...(readAnswer(bytes, id) ?? []));
      const isWhole = records.some((record) => record.type === 'text' && record.name === name);
      return isWhole ? describe(records, name, options.addresses()) : undefined;
    };
    const found = await options
      .exchange({ message, to: targets(options), timeoutMs: TIMEOUT_MS }, accept, signal)
      .catch(() => undefined);
    signal.throwIfAborted();
    if (found !== undefined) return found;
  }
  const last = describe(records, name, options.addresses()); // without a TXT record
  if (last !== undefined) return last;
  throw mdnsFailure('NO_SERVICE', options.type);
}
