import { describe, expect, test } from 'vitest';

import { readChecksum, wantedChecksum } from '../../../agent/image/checksum.ts';

const SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const SHA512 = SHA256 + SHA256;
const MD5 = 'd41d8cd98f00b204e9800998ecf8427e';

describe('a checksum', () => {
  test.each([
    [{ os_hash_algo: 'sha512', os_hash_value: SHA512, checksum: SHA256 }, 'sha512'],
    [{ checksum: SHA256 }, 'sha256'],
    [{ checksum: SHA512.toUpperCase() }, 'sha512'],
    [{ os_hash_algo: 'SHA256', os_hash_value: SHA256 }, 'sha256'],
    [{ os_hash_algo: 'sha3-256', os_hash_value: SHA256 }, 'sha3-256'],
    [{ os_hash_algo: 'sha3_256', os_hash_value: SHA256 }, 'sha3-256'],
    [{ os_hash_algo: 'whirlwind', os_hash_value: SHA256, checksum: SHA256 }, 'sha256'],
    [{ os_hash_algo: null, os_hash_value: null, checksum: MD5 }, 'md5'],
  ])('%j is a %s', (fields, algorithm) => {
    expect(readChecksum(wantedChecksum(fields), true).algorithm).toBe(algorithm);
  });

  test.each([
    [{}, 'neither'],
    [{ os_hash_algo: 'sha256' }, 'only make sense together'],
    [{ os_hash_algo: 'whirlwind', os_hash_value: SHA256 }, 'is not known'],
    [{ checksum: 'abc' }, 'no checksum'],
    [{ checksum: 'ftp://me:s3cr3t@server/sums' }, '"ftp://…" is no checksum'],
    [{ os_hash_algo: 'ssl3-md5', os_hash_value: MD5 }, 'is not known'],
    [{ os_hash_algo: 'md5', os_hash_value: MD5 }, 'MD5 checksums are not allowed'],
    [{ checksum: SHA256.slice(0, 40) }, 'of 40 digits'],
    [{ checksum: MD5 }, 'MD5 checksums are not allowed'],
    [{ os_hash_algo: 'sha512', os_hash_value: SHA256 }, 'has 128 hexadecimal digits, this one has 64'],
  ])('%j is refused: %s', (fields, why) => {
    expect(() => readChecksum(wantedChecksum(fields), false)).toThrow(why);
  });
});
