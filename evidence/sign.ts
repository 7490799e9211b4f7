import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { Value } from 'typebox/value';

import { canonicalJson } from './canonical.ts';
import { type Envelope, EnvelopeSchema } from './record.ts';

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** A new Ed25519 key, as PEM (PKCS#8). */
export function makeKey(): string {
  return String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

/** The public half of a private key, as base64 of its 32 bytes. @param pem PKCS#8 */
export function publicKeyOf(pem: string): string {
  const { x } = createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' });
  return Buffer.from(x ?? '', 'base64url').toString('base64');
}

function publicKey(base64: string): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(base64, 'base64').toString('base64url') },
    format: 'jwk',
  });
}

/** The public key as PEM (SPKI), which openssl reads. @param base64 32 bytes */
export function publicKeyPem(base64: string): string {
  return String(publicKey(base64).export({ type: 'spki', format: 'pem' }));
}

/** A public key as people have it: PEM, or base64 of 32 bytes. @returns base64, undefined when it is neither */
export function readPublicKey(given: string): string | undefined {
  try {
    if (!given.includes('-----')) return isBase64(given.trim(), KEY_BYTES) ? given.trim() : undefined;
    const { x, crv } = createPublicKey(given).export({ format: 'jwk' });
    return crv === 'Ed25519' && x !== undefined ? Buffer.from(x, 'base64url').toString('base64') : undefined;
  } catch {
    return undefined;
  }
}

/** Of so many bytes, and in the one way to write them: else a changed letter might say the same. */
function isBase64(value: string, length: number): boolean {
  const decoded = Buffer.from(value, 'base64');
  return decoded.length === length && decoded.toString('base64') === value;
}

/** SHA-256 of a record's canonical text, hex: what the next record and a receipt name it by. */
export function recordHash(record: Envelope['record']): string {
  return createHash('sha256').update(canonicalJson(record)).digest('hex');
}

/**
 * Signs the canonical text of a record.
 * @param pem private key, PKCS#8
 */
export function signRecord(record: Envelope['record'], pem: string): Envelope {
  const value = sign(null, Buffer.from(canonicalJson(record)), createPrivateKey(pem)).toString('base64');
  return { record, signature: { algorithm: 'Ed25519', public_key: publicKeyOf(pem), value } };
}

/** @returns what is wrong with an envelope's form or signature, undefined when nothing is */
export function envelopeFault(envelope: unknown): string | undefined {
  if (!Value.Check(EnvelopeSchema, envelope)) {
    const [error] = Value.Errors(EnvelopeSchema, envelope);
    return `it does not have the form of evidence${error ? `: ${error.instancePath || 'it'} ${error.message}` : ''}`;
  }
  const { record, signature } = envelope;
  if (!isBase64(signature.public_key, KEY_BYTES)) return 'its public key is not base64 of 32 bytes';
  if (!isBase64(signature.value, SIGNATURE_BYTES)) return 'its signature is not base64 of 64 bytes';
  try {
    const isGood = verify(
      null,
      Buffer.from(canonicalJson(record)),
      publicKey(signature.public_key),
      Buffer.from(signature.value, 'base64'),
    );
    return isGood ? undefined : 'its signature does not fit: the record or the signature was changed';
  } catch {
    return 'its signature cannot be checked: the key is none';
  }
}
