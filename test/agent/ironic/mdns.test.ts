import * as fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import { encodeQuery, readAnswer } from '../../../agent/ironic/dns-message.ts';
import { findService, type MdnsOptions } from '../../../agent/ironic/mdns.ts';
import { systemExchange } from '../../../agent/os/datagram.ts';
import type { Datagram, NetworkAddress } from '../../../agent/os/door.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type Announcement, mdnsAnswer } from '../../fakes/mdns-responder.ts';
import { startUdpServer } from '../../fakes/time-server.ts';

const SERVICE: Announcement = {
  name: 'baremetal._openstack._tcp.local',
  target: 'conductor.local',
  port: 6385,
  texts: ['path=/baremetal', 'ipa_ntp_server=192.0.2.123', 'protocol=https'],
  addresses: ['127.0.0.1', '2001:db8::5', '192.0.2.5'],
};
const own = (address: string, family: 4 | 6, name = 'eth0', internal = false): NetworkAddress => ({
  interface: name,
  address,
  family,
  mac: '',
  internal,
});
const IPV4_ONLY = [own('127.0.0.1', 4, 'lo', true), own('192.0.2.77', 4), own('fe80::1', 6)];

let close: () => void = () => undefined;
afterEach(() => {
  close();
  close = () => undefined;
});

/** Asks a responder on loopback instead of the groups that `asked` keeps. */
async function find(service: Announcement | undefined, more: Partial<MdnsOptions> = {}) {
  const asked: Datagram['to'][] = [];
  const server = await startUdpServer((query) => service && mdnsAnswer(query, service));
  close = server.close;
  const clock = fakeClock();
  const found = findService({
    type: 'baremetal',
    exchange: ({ message, to }, accept, signal) => {
      asked.push(to);
      return systemExchange(
        { message, to: [{ host: '127.0.0.1', port: server.port }], timeoutMs: 500 },
        accept,
        signal,
      );
    },
    addresses: () => IPV4_ONLY,
    interfaces: [],
    attempts: 3,
    clock,
    signal: new AbortController().signal,
    ...more,
  });
  return { found, asked, clock };
}

describe('a service of this network', () => {
  test('is found with its address and options', async () => {
    const { found, asked } = await find(SERVICE);
    expect(await found).toEqual({
      url: 'https://192.0.2.5:6385/baremetal',
      options: new Map([['ipa_ntp_server', '192.0.2.123']]),
    });
    expect(asked).toEqual([
      [
        { host: '224.0.0.251', port: 5353, from: '192.0.2.77' },
        { host: 'ff02::fb%eth0', port: 5353 },
      ],
    ]);
  });

  test('has an address that this machine has a way to, by its family', async () => {
    const ipv6 = await find(SERVICE, { addresses: () => [own('2001:db8::77', 6)] });
    expect((await ipv6.found).url).toBe('https://[2001:db8::5]:6385/baremetal');
    close();
    const none = await find({ ...SERVICE, texts: [''] }, { addresses: () => [own('fe80::1', 6)] });
    expect((await none.found).url).toBe('https://[2001:db8::5]:6385');
  });

  test('with a name of its own keeps it; port 80 is plain HTTP', async () => {
    const { found } = await find({ ...SERVICE, target: 'ironic.example.org', port: 80, texts: ['path='] });
    expect((await found).url).toBe('http://ironic.example.org:80');
  });

  test('that does not say its address is asked for it', async () => {
    const { found, asked } = await find({ ...SERVICE, withoutAddresses: true });
    expect((await found).url).toBe('https://192.0.2.5:6385/baremetal');
    expect(asked).toHaveLength(2);
  });

  test('is asked for from the interfaces that were chosen', async () => {
    const addresses = () => [own('192.0.2.77', 4), own('198.51.100.7', 4, 'eth1'), own('fe80::2', 6, 'eth1')];
    const one = await find(SERVICE, { addresses, interfaces: ['192.0.2.77'] });
    await one.found;
    expect(one.asked[0]?.map(({ host }) => host)).toEqual(['224.0.0.251']);
    close();
    const other = await find(SERVICE, { addresses, interfaces: ['eth1'] });
    await other.found;
    expect(other.asked[0]?.map(({ host }) => host)).toEqual(['224.0.0.251', 'ff02::fb%eth1']);
  });

  test('that nobody announces is a failure after all attempts', async () => {
    const { found, clock } = await find(undefined);
    await expect(found).rejects.toThrow('cannot find baremetal in this network (mDNS)');
    expect(clock.sleeps).toEqual([100, 200]);
    close();
    const other = await find({ ...SERVICE, name: 'printer._ipp._tcp.local' }, { attempts: 1 });
    await expect(other.found).rejects.toThrow('cannot find baremetal');
  });
});

describe('an answer', () => {
  const query = encodeQuery(7, [{ name: `${SERVICE.name}.`, type: 33 }]);
  const answer = (): Uint8Array => {
    const bytes = mdnsAnswer(query, SERVICE);
    if (bytes === undefined) throw new Error('the responder knows its service');
    return bytes;
  };

  test('is read whatever its compression', () => {
    expect(readAnswer(answer(), 7)).toEqual([
      { name: 'baremetal._openstack._tcp.local.', type: 'service', port: 6385, target: 'conductor.local.' },
      { name: 'baremetal._openstack._tcp.local.', type: 'text', texts: SERVICE.texts.map((text) => Buffer.from(text)) },
      ...SERVICE.addresses.map((address) => ({ name: 'conductor.local.', type: 'address', address })),
    ]);
  });

  test('to another query, and a query, are none', () => {
    expect(readAnswer(answer(), 8)).toBeUndefined();
    expect(readAnswer(query, 7)).toBeUndefined();
  });

  test('whose names lead round and round is none', () => {
    const bytes = Buffer.from(answer());
    const self = bytes.indexOf(Buffer.from([0xc0, 12]));
    bytes.writeUInt16BE(0xc0_00 + self, self);
    expect(readAnswer(bytes, 7)).toBeUndefined();
  });

  test('that is cut, damaged or garbage is read or none, and takes no time', () => {
    const whole = [...answer()];
    const damaged = fc
      .tuple(fc.nat(whole.length), fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }))
      .map(([length, changes]) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        return bytes.slice(0, length);
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 600 })), (bytes) => {
        const records = readAnswer(bytes, 7);
        expect(records === undefined || Array.isArray(records)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
