import { createHash, getHashes } from 'node:crypto';

import { AgentError } from '../api/errors.ts';

/** What the image file must hash to. `hex` is lower case. */
export type Checksum = { algorithm: string; hex: string };

/** As `image_info` carries it (agent-protocol I.3). A value may be the URL of a checksum file instead of hex. */
export type ChecksumFields = {
  checksum?: string | null;
  os_hash_algo?: string | null;
  os_hash_value?: string | null;
};

const ALGORITHM_OF_LENGTH: Readonly<Record<number, string>> = { 128: 'sha512', 64: 'sha256', 32: 'md5' };
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
    if (getHashes().includes(algorithm.toLowerCase())) return { algorithm: algorithm.toLowerCase(), value };
    if (!checksum) throw refuse(`hash algorithm ${algorithm} is not known; use sha256 or sha512`);
  }
  if (!checksum) throw refuse('image_info has neither os_hash_algo and os_hash_value nor checksum');
  return { algorithm: undefined, value: checksum };
}

/**
 * Checks a literal checksum; without a named algorithm its length says which it is.
 * @throws AgentError `InvalidCommandParamsError`
 */
export function readChecksum(wanted: WantedChecksum, isMd5Allowed: boolean): Checksum {
  const hex = wanted.value.trim().toLowerCase();
  if (!HEX.test(hex)) throw refuse(`"${wanted.value}" is no checksum in hexadecimal digits`);
  const algorithm = wanted.algorithm ?? ALGORITHM_OF_LENGTH[hex.length];
  if (algorithm === undefined)
    throw refuse(`no hash algorithm makes checksums of ${hex.length} digits (sha256: 64, sha512: 128)`);
  if (algorithm === 'md5' && !isMd5Allowed) throw refuse('MD5 checksums are not allowed; use sha256 or sha512');
  const digits = createHash(algorithm).digest('hex').length;
  if (hex.length !== digits)
    throw refuse(`a ${algorithm} checksum has ${digits} hexadecimal digits, this one has ${hex.length}`);
  return { algorithm, hex };
}

/** `HASH  name`, `HASH *name`, `HASH  ./path/name`. */
const COREUTILS_LINE = /^\\?([0-9a-f]+)\s+\*?(.+)$/i;
/** `SHA256 (name) = HASH`, as the BSDs write it. */
const BSD_LINE = /^[\w-]+\s*\((.+)\)\s*=\s*([0-9a-f]+)$/i;

/**
 * Finds a file's checksum in the text of a checksum file.
 * @param imageUrl the image's address; its last part is the name that is looked for
 * @throws AgentError `ImageDownloadError` when the file does not name the image
 */
export function findChecksum(text: string, imageUrl: string): string {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const useful = lines.filter((line) => line !== '' && !line.startsWith('#'));
  const [only] = useful;
  if (useful.length === 1 && only !== undefined && HEX.test(only)) return only;
  const name = decodeURIComponent(new URL(imageUrl).pathname.split('/').at(-1) ?? '');
  for (const line of useful) {
    const bsd = BSD_LINE.exec(line);
    const plain = COREUTILS_LINE.exec(line);
    const [file, hash] = bsd ? [bsd[1], bsd[2]] : [plain?.[2], plain?.[1]];
    if (hash !== undefined && HEX.test(hash) && file?.split('/').at(-1) === name) return hash;
  }
  throw new AgentError(
    'ImageDownloadError',
    `cannot verify the image: the checksum file does not contain name ${name}`,
  );
}
