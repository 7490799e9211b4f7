import { scryptSync } from 'node:crypto';

import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';

/** The alphabet of crypt(3) salts. */
const LETTERS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * A salt that is the same in every build, so that the same password gives the same bytes. It is made of the password itself by
 * scrypt, which costs more than the SHA-512 hash that it is for: whoever has the ramdisk is no nearer to the password by trying
 * salts than by trying hashes, and two passwords have two salts.
 */
function saltFor(password: string, purpose: string): string {
  const settings = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };
  const bytes = scryptSync(password, `ingot password salt\0${purpose}`, 16, settings);
  return [...bytes].map((byte) => LETTERS[byte % 64]).join('');
}

/**
 * A SHA-512 crypt(3) hash, by OpenSSL; the password is on no command line.
 * @param purpose what the password is for: two purposes have two salts
 * @throws Failure `MISSING_PROGRAM`
 */
export async function hashPassword(
  host: Pick<BuilderHost, 'run'>,
  password: string,
  purpose: string,
  signal: AbortSignal,
): Promise<string> {
  if (password.includes('\n')) throw builderFailure('ELEMENT_INVALID', `${purpose}: a password is one line`);
  const args = ['passwd', '-6', '-salt', saltFor(password, purpose), '-stdin'];
  const { stdout } = await host.run('openssl', args, { input: `${password}\n`, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw builderFailure('MISSING_PROGRAM', 'openssl', { cause: error, hint: 'apt-get install openssl' });
  });
  return stdout.trim();
}
