import { AgentError } from '../api/errors.ts';
import { hashDigits, hashName, hashOfDigits, isWeakHash } from './hash-names.ts';

/** What the image file must hash to. `hex` is lower case. */
export type Checksum = { algorithm: string; hex: string };

/** As `image_info` carries it (agent-protocol I.3). A value may be the URL of a checksum file instead of hex. */
export type ChecksumFields = {
  checksum?: string | null;
  os_hash_algo?: string | null;
  os_hash_value?: string | null;
};

const HEX = /^(?:[0-9a-f]{2}){16,64}$/i;

/** A checksum that still has to be fetched. */
export type WantedChecksum = { algorithm: string | undefined; value: string };

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot verify the image: ${why}`);
}

export function isUrl(value: string): boolean {
  return /^https?:\/\//i.test(value);
}

/**
 * Which checksum counts: the pair of os_hash_algo and os_hash_value before `checksum`.
 * @throws AgentError `InvalidCommandParamsError` when there is none, or half a pair
 */
export function wantedChecksum(fields: ChecksumFields): WantedChecksum {
  const { checksum, os_hash_algo: algorithm, os_hash_value: value } = fields;
  if (Boolean(algorithm) !== Boolean(value)) throw refuse('os_hash_algo and os_hash_value only make sense together');
  if (algorithm && value) {
    const known = hashName(algorithm);
    if (known !== undefined) return { algorithm: known, value };
    if (!checksum) throw refuse(`hash algorithm ${algorithm} is not known; use sha256 or sha512`);
  }
  if (!checksum) throw refuse('image_info has neither os_hash_algo and os_hash_value nor checksum');
  return { algorithm: undefined, value: checksum };
}

/** A value that is an address may have a password in it. */
function shown(value: string): string {
  return value.replace(/^(\w+):\/\/.*$/s, '$1://…').slice(0, 80);
}

/**
 * Checks a literal checksum; without a named algorithm its length says which it is.
 * @throws AgentError `InvalidCommandParamsError`
 */
export function readChecksum(wanted: WantedChecksum, isMd5Allowed: boolean): Checksum {
  const hex = wanted.value.trim().toLowerCase();
  if (!HEX.test(hex)) throw refuse(`"${shown(wanted.value)}" is no checksum in hexadecimal digits`);
  const algorithm = wanted.algorithm ?? hashOfDigits(hex.length);
  if (algorithm === undefined)
    throw refuse(`no hash algorithm makes checksums of ${hex.length} digits (sha256: 64, sha512: 128)`);
  if (isWeakHash(algorithm) && !isMd5Allowed) throw refuse('MD5 checksums are not allowed; use sha256 or sha512');
  const digits = hashDigits(algorithm);
  if (hex.length !== digits)
    throw refuse(`a ${algorithm} checksum has ${digits} hexadecimal digits, this one has ${hex.length}`);
  return { algorithm, hex };
}
