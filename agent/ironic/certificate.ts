import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

import * as der from './der.ts';

/** PEM texts. The certificate travels in every heartbeat and must stay the same for the whole boot. */
export type Certificate = { certificate: string; key: string };

const CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const;
const ECDSA_WITH_SHA512 = '1.2.840.10045.4.3.4';
const COMMON_NAME = '2.5.4.3';
const SUBJECT_ALT_NAME = '2.5.29.17';
/** Upper bound of a common name (RFC 5280, ub-common-name). */
const LONGEST_COMMON_NAME = 64;
/** The conductor's clock may be behind ours. */
const ALLOWED_SKEW_SECONDS = 3600;
const VALID_MS = 30 * 24 * 3600 * 1000;

/** An IPv4 or IPv6 address as 4 or 16 bytes. */
export function addressBytes(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.').map(Number));
  // The URL parser writes an embedded IPv4 address as two groups and drops leading zeros.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = groups(tail ?? '');
  const words = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return Uint8Array.from(words.flatMap((value) => [value >> 8, value & 0xff]));
}

/** GeneralName: dNSName is [2], iPAddress is [7]. */
function alternativeName(host: string): Uint8Array {
  if (isIPv4(host) || isIPv6(host)) return der.implicit(7, addressBytes(host));
  return der.implicit(2, Buffer.from(host));
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/**
 * A self-signed certificate in the one shape that Ironic's conductor is known to take: version 3, the advertised address as
 * critical subjectAltName and no other extension, signed with SHA-512 (IPA `tls_utils.py`). Written by hand because it is one
 * fixed structure; a certificate library would be the largest thing in the agent.
 * @param host advertised address (or name, where ipa-advertise-host is one)
 * @param allowedSkewSeconds how long before these it begins to be valid, because another clock may be behind
 * @param times moments that it must be valid at, milliseconds since the epoch: our clock's and, where known, the server's
 */
export function createCertificate(options: {
  host: string;
  commonName: string;
  curve: keyof typeof CURVES;
  times: readonly number[];
  allowedSkewSeconds?: number;
}): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: CURVES[options.curve] });
  const name = der.sequence(
    der.set(
      der.sequence(
        der.objectIdentifier(COMMON_NAME),
        der.utf8String(options.commonName.slice(0, LONGEST_COMMON_NAME) || 'ingot-agent'),
      ),
    ),
  );
  const algorithm = der.sequence(der.objectIdentifier(ECDSA_WITH_SHA512));
  const serial = randomBytes(20);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40; // positive, and always 20 bytes
  const extension = der.sequence(
    der.objectIdentifier(SUBJECT_ALT_NAME),
    der.booleanTrue(),
    der.octetString(der.sequence(alternativeName(options.host))),
  );
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(Uint8Array.of(2))),
    der.integer(serial),
    algorithm,
    name,
    der.sequence(
      der.time(new Date(Math.min(...options.times) - (options.allowedSkewSeconds ?? ALLOWED_SKEW_SECONDS) * 1000)),
      der.time(new Date(Math.max(...options.times) + VALID_MS)),
    ),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(extension)),
  );
  const signature = sign('sha512', toBeSigned, privateKey);
  return {
    certificate: pem('CERTIFICATE', der.sequence(toBeSigned, algorithm, der.bitString(signature))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}
