import { X509Certificate } from 'node:crypto';
import { createServer, connect } from 'node:tls';
import type { AddressInfo } from 'node:net';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { addressBytes, createCertificate } from '../../../agent/ironic/certificate.ts';
import { integer, objectIdentifier, octetString, time } from '../../../agent/ironic/der.ts';

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);
const make = (host: string, curve: 'p256' | 'p384' | 'p521' = 'p384', times = [NOW]) =>
  createCertificate({ host, commonName: 'rack-1', curve, times });

describe('the certificate', () => {
  test('has the shape that the conductor takes', () => {
    const { certificate, key } = make('192.0.2.10');
    const x509 = new X509Certificate(certificate);
    expect(x509.subject).toBe('CN=rack-1');
    expect(x509.issuer).toBe('CN=rack-1');
    expect(x509.subjectAltName).toBe('IP Address:192.0.2.10');
    expect(new Date(x509.validFrom).getTime()).toBe(NOW - 3600 * 1000);
    expect(new Date(x509.validTo).getTime()).toBe(NOW + 30 * 24 * 3600 * 1000);
    expect(x509.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'secp384r1' });
    expect(x509.verify(x509.publicKey)).toBe(true);
    expect(x509.ca).toBe(false);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(certificate).toMatch(/^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n$/);
  });

  test('is signed with SHA-512, and its one extension is critical', () => {
    const der = new X509Certificate(make('192.0.2.10').certificate).raw;
    const ecdsaWithSha512 = Buffer.from(objectIdentifier('1.2.840.10045.4.3.4'));
    expect(der.indexOf(ecdsaWithSha512)).toBeGreaterThan(0);
    expect(der.lastIndexOf(ecdsaWithSha512)).toBeGreaterThan(der.indexOf(ecdsaWithSha512));
    // subjectAltName, then BOOLEAN TRUE
    const extension = Buffer.concat([objectIdentifier('2.5.29.17'), Uint8Array.of(0x01, 0x01, 0xff)]);
    expect(der.includes(extension)).toBe(true);
    expect(der.includes(Buffer.from(objectIdentifier('2.5.29.19')))).toBe(false); // no basicConstraints
  });

  test('is different each time', () => {
    const serials = Array.from({ length: 3 }, () => new X509Certificate(make('::1').certificate).serialNumber);
    expect(new Set(serials).size).toBe(3);
    expect(serials.every((serial) => serial.length === 40)).toBe(true);
  });

  test("is valid by our clock and by the server's", () => {
    const stale = Date.UTC(2009, 0, 1);
    const x509 = new X509Certificate(make('192.0.2.10', 'p384', [stale, NOW]).certificate);
    expect(new Date(x509.validFrom).getTime()).toBe(stale - 3600 * 1000);
    expect(new Date(x509.validTo).getTime()).toBeGreaterThan(NOW);
  });

  test.each([
    ['fd00::2', 'IP Address:FD00:0:0:0:0:0:0:2'],
    ['::ffff:192.0.2.1', 'IP Address:0:0:0:0:0:FFFF:C000:201'],
    ['agent.example', 'DNS:agent.example'],
  ])('names %s', (host, name) => {
    expect(new X509Certificate(make(host).certificate).subjectAltName).toBe(name);
  });

  test.each(['p256', 'p384', 'p521'] as const)(
    'with a key on %s is taken by a TLS 1.3 client that knows nothing but it',
    async (curve) => {
      const { certificate, key } = createCertificate({
        host: '127.0.0.1',
        commonName: 'x'.repeat(200),
        curve,
        times: [Date.now()],
      });
      const server = createServer({ cert: certificate, key, minVersion: 'TLSv1.3' }, (socket) => socket.end('hello'));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const said = await new Promise<string>((resolve, reject) => {
        let text = '';
        const client = connect({ port, host: '127.0.0.1', ca: certificate, minVersion: 'TLSv1.3' });
        client.on('data', (chunk: Buffer) => (text += chunk.toString()));
        client.on('end', () => resolve(`${client.authorized} ${client.getProtocol()} ${text}`));
        client.on('error', reject);
      });
      server.close();
      expect(said).toBe('true TLSv1.3 hello');
    },
  );
});

describe('addresses as bytes', () => {
  test('are those that went in', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        // The URL parser is the reference for text, so the way back must not use it.
        const bytes = addressBytes(address);
        expect(bytes).toHaveLength(16);
        const words = Array.from({ length: 8 }, (_, i) =>
          (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
        );
        expect(new URL(`http://[${words.join(':')}]`).hostname).toBe(new URL(`http://[${address}]`).hostname);
      }),
    );
    expect([...addressBytes('192.0.2.255')]).toEqual([192, 0, 2, 255]);
  });
});

describe('DER', () => {
  test('writes what the standard shows', () => {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    expect(hex(objectIdentifier('1.2.840.113549'))).toBe('06062a864886f70d');
    expect(hex(integer(Uint8Array.of(0)))).toBe('020100');
    expect(hex(integer(Uint8Array.of(0, 0, 127)))).toBe('02017f');
    expect(hex(integer(Uint8Array.of(128)))).toBe('02020080');
    expect(hex(octetString(new Uint8Array(127))).slice(0, 4)).toBe('047f');
    expect(hex(octetString(new Uint8Array(128))).slice(0, 6)).toBe('048180');
    expect(hex(octetString(new Uint8Array(65_536))).slice(0, 10)).toBe('0483010000');
    expect(Buffer.from(time(new Date(Date.UTC(2049, 11, 31, 23, 59, 59)))).toString()).toContain('491231235959Z');
    expect(Buffer.from(time(new Date(Date.UTC(2050, 0, 1)))).toString()).toContain('20500101000000Z');
  });
});
