import { describe, expect, test } from 'vitest';

import { callbackUrl, findAdvertisedAddress } from '../../../agent/ironic/address.ts';
import { fakeClock } from '../../fakes/clock.ts';

function find(addresses: (string | Error)[], advertiseHost?: string) {
  const clock = fakeClock();
  let index = 0;
  const found = findAdvertisedAddress({
    advertiseHost,
    probe: async () => {
      const next = addresses[Math.min(index++, addresses.length - 1)];
      if (next instanceof Error || next === undefined) throw next ?? new Error('nothing');
      return { status: 200, text: '', localAddress: next, serverTime: undefined };
    },
    attempts: 6,
    sleepSeconds: 10,
    clock,
    signal: new AbortController().signal,
  });
  return { found, clock };
}

describe('the advertised address', () => {
  test('is the one that was set', async () => {
    expect(await find([], '127.0.0.1').found).toBe('127.0.0.1');
    expect(await find([], '[fd00::1]').found).toBe('fd00::1');
  });

  test.each([
    ['192.0.2.5', '192.0.2.5'],
    ['::ffff:192.0.2.5', '192.0.2.5'],
    ['fd00::5', 'fd00::5'],
  ])('is that of a connection to the API: %s', async (local, address) => {
    expect(await find([local]).found).toBe(address);
  });

  test('is looked for again while there is none, or only a link-local one', async () => {
    const { found, clock } = find([new Error('down'), '169.254.1.1', 'fe80::1%eth0', '192.0.2.5']);
    expect(await found).toBe('192.0.2.5');
    expect(clock.sleeps).toEqual([10_000, 10_000, 10_000]);
  });

  test('that cannot be found is a failure with the reason, after six tries', async () => {
    const { found, clock } = find(['fe80::1']);
    await expect(found).rejects.toThrow(/which is link-local$/);
    expect(clock.sleeps).toHaveLength(5);
  });
});

test('callback URLs have no path, and brackets around IPv6', () => {
  expect(callbackUrl('https', '192.0.2.5', 9999)).toBe('https://192.0.2.5:9999');
  expect(callbackUrl('http', 'fd00::5', 1)).toBe('http://[fd00::5]:1');
});
