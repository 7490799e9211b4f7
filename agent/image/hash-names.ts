/** Hash algorithms that an image may be verified with: our name (OpenSSL's), digits of the result, and what else they are called. */
type HashRow = { digits: number; weak?: true; also?: readonly string[] };

/** All of python-hashlib's that give a result of one length, which is what ironic-python-agent knows. */
const HASHES: Readonly<Record<string, HashRow>> = {
  sha512: { digits: 128, also: ['sha2-512'] },
  sha256: { digits: 64, also: ['sha2-256'] },
  sha384: { digits: 96, also: ['sha2-384'] },
  sha224: { digits: 56, also: ['sha2-224'] },
  'sha512-256': { digits: 64, also: ['sha512/256', 'sha2-512/256'] },
  'sha512-224': { digits: 56, also: ['sha512/224', 'sha2-512/224'] },
  'sha3-512': { digits: 128 },
  'sha3-384': { digits: 96 },
  'sha3-256': { digits: 64 },
  'sha3-224': { digits: 56 },
  blake2b512: { digits: 128, also: ['blake2b', 'blake2', 'blake2b-512', 'blake2-512'] },
  blake2s256: { digits: 64, also: ['blake2s', 'blake2s-256'] },
  sm3: { digits: 64 },
  ripemd160: { digits: 40, also: ['rmd160'] },
  sha1: { digits: 40, also: ['sha'] },
  md5: { digits: 32, weak: true },
};

const NAMES = new Map(
  Object.entries(HASHES).flatMap(([name, { also }]) => [name, ...(also ?? [])].map((alias) => [alias, name])),
);
const STRENGTH = Object.keys(HASHES);

/**
 * Our name of a hash algorithm.
 * @returns undefined for what is none, or none that can verify an image
 */
export function hashName(text: string): string | undefined {
  return NAMES.get(text.trim().toLowerCase().replaceAll('_', '-'));
}

/** @param name ours */
export function hashDigits(name: string): number | undefined {
  return HASHES[name]?.digits;
}

/** MD5 alone, as ironic-python-agent has it: whether it will do is for the configuration to say. */
export function isWeakHash(name: string): boolean {
  return HASHES[name]?.weak ?? false;
}

/** For sorting: the strongest and most common first. */
export function hashRank(name: string): number {
  return STRENGTH.indexOf(name);
}

/** What a checksum without a name is by its length, as ironic-python-agent has it. */
export function hashOfDigits(digits: number): string | undefined {
  return { 128: 'sha512', 64: 'sha256', 32: 'md5' }[digits];
}
