import { describe, expect, test } from 'vitest';

import {
  type AddressOptions,
  callbackUrl,
  findAdvertisedAddress,
  ipv4Of,
  withoutBrackets,
} from '../../../agent/ironic/address.ts';
import type { NetworkAddress } from '../../../agent/os/door.ts';
import { fakeClock } from '../../fakes/clock.ts';

type Found = string | Error;

/** @param urls what probes of each URL of the API find, try by try */
function find(urls: Found[][], more: Partial<AddressOptions> = {}) {
  const clock = fakeClock();
  const indexes = urls.map(() => 0);
  const found = findAdvertisedAddress({
    advertiseHost: undefined,
    interfaceAddress: undefined,
    probes: () =>
      urls.map((addresses, url) => async () => {
        const next = addresses[Math.min(indexes[url] ?? 0, addresses.length - 1)];
        indexes[url] = (indexes[url] ?? 0) + 1;
        if (next instanceof Error || next === undefined) throw next ?? new Error('nothing');
        return { status: 200, text: '', localAddress: next, serverTime: undefined };
      }),
    ...more,
    attempts: 6,
    sleepSeconds: 10,
    clock,
    signal: new AbortController().signal,
  });
  return { found, clock };
}

const other = (entry: Partial<NetworkAddress>): NetworkAddress => ({
  interface: 'eth1',
  address: 'fd00::7',
  family: 6,
  mac: '52:54:00:00:00:01',
  internal: false,
  ...entry,
});
const ADDRESSES = [
  other({ interface: 'eth0', family: 4, address: '192.0.2.7' }),
  other({}),
  other({ family: 4, address: '169.254.3.4' }),
  other({ family: 4, address: '198.51.100.7' }),
];

describe('the advertised address', () => {
  test('is the one that was set', async () => {
    expect(await find([], { advertiseHost: '127.0.0.1' }).found).toBe('127.0.0.1');
    expect(await find([], { advertiseHost: '[fd00::1]' }).found).toBe('fd00::1');
  });

  test.each([
    ['192.0.2.5', '192.0.2.5'],
    ['::ffff:192.0.2.5', '192.0.2.5'],
    ['fd00::5', 'fd00::5'],
  ])('is that of a connection to the API: %s', async (local, address) => {
    expect(await find([[local]]).found).toBe(address);
  });

  test('is looked for again while there is none, or only a link-local one', async () => {
    const { found, clock } = find([[new Error('down'), '169.254.1.1', 'fe80::1%eth0', '192.0.2.5']]);
    expect(await found).toBe('192.0.2.5');
    expect(clock.sleeps).toEqual([10_000, 10_000, 10_000]);
  });

  test('is that of the first URL which is reached from an address that others can use', async () => {
    expect(await find([['fe80::1'], [new Error('down')], ['2001:db8::5'], ['192.0.2.5']]).found).toBe('2001:db8::5');
  });

  test('is the IPv4 address of an interface that was asked for, once it has one', async () => {
    let tries = 0;
    const find4 = () => ipv4Of(ADDRESSES.slice(0, (tries += 1)), 'eth1');
    const { found, clock } = find([['192.0.2.5']], { interfaceAddress: { name: 'eth1', find: find4 } });
    expect(await found).toBe('198.51.100.7');
    expect(clock.sleeps).toHaveLength(3);
    await expect(find([], { interfaceAddress: { name: 'eth9', find: () => undefined } }).found).rejects.toThrow(
      'eth9 (ipa-network-interface) has no IPv4 address',
    );
  });

  test('that cannot be found is a failure with the reason, after six tries', async () => {
    const { found, clock } = find([['fe80::1']]);
    await expect(found).rejects.toThrow(/which is link-local$/);
    expect(clock.sleeps).toHaveLength(5);
  });
});

test('callback URLs have no path, and brackets around IPv6', () => {
  expect(callbackUrl('https', '192.0.2.5', 9999)).toBe('https://192.0.2.5:9999');
  expect(callbackUrl('http', 'fd00::5', 1)).toBe('http://[fd00::5]:1');
});

test('a host to listen on may be written as in a URL', () => {
  expect(['[::]', '::', '0.0.0.0'].map(withoutBrackets)).toEqual(['::', '::', '0.0.0.0']);
});
