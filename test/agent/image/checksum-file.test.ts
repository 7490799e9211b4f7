import { createHash } from 'node:crypto';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgentError } from '../../../agent/api/errors.ts';
import { findChecksum, parseChecksumFile } from '../../../agent/image/checksum-file.ts';
import { hashDigits, hashName } from '../../../agent/image/hash-names.ts';

const SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const SHA512 = SHA256 + SHA256;
const MD5 = 'd41d8cd98f00b204e9800998ecf8427e';
const OTHER = 'f'.repeat(64);
const URL = 'http://images.example/debian/12/amd64/image.qcow2?sig=abc';
const find = (text: string, urls: readonly string[] = [URL], algorithm?: string, isMd5Allowed = false) =>
  findChecksum(text, urls, { algorithm, isMd5Allowed });

describe('a checksum file', () => {
  test.each([
    ['a bare hash', `${SHA256}\n`],
    ['a bare hash in capitals, with a byte order mark', `\u{FEFF}${SHA256.toUpperCase()}\r\n`],
    ['sha256sum < file', `${SHA256}  -\n`],
    ['coreutils, text', `${OTHER}  other.qcow2\n${SHA256}  image.qcow2\n`],
    ['coreutils, binary', `${SHA256} *image.qcow2\r\n${OTHER} *other.qcow2\r\n`],
    ['old ends of lines', `${OTHER}  other.qcow2\r${SHA256}  image.qcow2\r`],
    ['a path before the name', `${OTHER}  a/old-image.qcow2\n${SHA256}  ./build/image.qcow2\n`],
    ['BSD', `# signed\nSHA256 (other.qcow2) = ${OTHER}\nSHA256 (image.qcow2) = ${SHA256}\n`],
    ['coreutils --tag with a path', `SHA256 (./build/image.qcow2) = ${SHA256}\n`],
    ['openssl dgst', `SHA256(other.qcow2)= ${OTHER}\nSHA256(image.qcow2)= ${SHA256}\n`],
    ['openssl 3 dgst', `SHA2-256(image.qcow2)= ${SHA256}\n`],
    ['Fedora', `# image.qcow2: 528000 bytes\nSHA256 (image.qcow2) = ${SHA256}\n`],
    ['the name first', `other.qcow2: ${OTHER}\nimage.qcow2: ${SHA256}\n`],
    [
      'Debian Release',
      `MD5Sum:\n ${MD5} 1234 image.qcow2\nSHA256:\n ${OTHER} 5678 other.qcow2\n ${SHA256} 1234 image.qcow2\n`,
    ],
    ['the same line twice', `${SHA256}  image.qcow2\n${SHA256}  image.qcow2\n`],
    ['several folders with the name', `${OTHER}  arm64/image.qcow2\n${SHA256}  amd64/image.qcow2\n`],
    ['the bare name among folders with the name', `${OTHER}  arm64/image.qcow2\n${SHA256}  image.qcow2\n`],
    ['several algorithms', `${MD5}  image.qcow2\n${SHA256}  image.qcow2\n`],
    [
      'several algorithms, BSD',
      `MD5 (image.qcow2) = ${MD5}\nSHA1 (image.qcow2) = ${'a'.repeat(40)}\nSHA256 (image.qcow2) = ${SHA256}\n`,
    ],
  ])('may be %s', (_, text) => {
    expect(find(text)).toEqual({ algorithm: 'sha256', value: SHA256 });
  });

  const SIGNED = [
    '-----BEGIN PGP SIGNED MESSAGE-----',
    'Hash: SHA512',
    '',
    '# images',
    `- -----: ${OTHER}`,
    `SHA256 (image.qcow2) = ${SHA256}`,
    '-----BEGIN PGP SIGNATURE-----',
    '',
    'iQIzBAEBCgAdFiEEcXXmHkXpbIk',
    '-----END PGP SIGNATURE-----',
    `SHA256 (image.qcow2) = ${OTHER}`,
  ].join('\n');
  test('may be clear-signed; what stands around what was signed does not count', () => {
    expect(find(SIGNED)).toEqual({ algorithm: 'sha256', value: SHA256 });
    expect(find(`SHA256 (image.qcow2) = ${OTHER}\n${SIGNED}`)).toEqual({ algorithm: 'sha256', value: SHA256 });
  });

  test('of several algorithms the one that was asked for counts, else the strongest; MD5 where it may', () => {
    const text = `${MD5}  image.qcow2\n${SHA256}  image.qcow2\n${SHA512}  image.qcow2\n`;
    expect(find(text)).toEqual({ algorithm: 'sha512', value: SHA512 });
    expect(find(text, [URL], 'sha256')).toEqual({ algorithm: 'sha256', value: SHA256 });
    expect(find(text, [URL], 'md5', true)).toEqual({ algorithm: 'md5', value: MD5 });
    expect(find(`${MD5}  image.qcow2\n`, [URL], undefined, true)).toEqual({ algorithm: 'md5', value: MD5 });
    expect(find(`SHA3-256 (image.qcow2) = ${OTHER}\n`)).toEqual({ algorithm: 'sha3-256', value: OTHER });
    expect(find(`${OTHER}  image.qcow2\n`, [URL], 'sha3-256')).toEqual({ algorithm: 'sha3-256', value: OTHER });
    expect(() => find(`${SHA256}  image.qcow2\n`, [URL], 'sha512')).toThrow('no checksum of sha512');
  });

  test('is searched for the name of any of the sources, as it is and unescaped', () => {
    const urls = ['http://a/download?id=7', 'http://b/my%20image%231.qcow2', 'http://c/50%.raw'];
    expect(find(`${SHA256}  my image#1.qcow2\n`, urls).value).toBe(SHA256);
    expect(find(`${SHA256}  50%.raw\n`, urls).value).toBe(SHA256);
    expect(find(`\\${SHA256}  a\\\\b\\nc.raw\n`, ['http://a/a%5Cb%0Ac.raw']).value).toBe(SHA256);
  });

  test.each([
    ['does not name the image, even with one line', `${OTHER}  my-image.qcow2\n`, 'does not contain name image.qcow2'],
    ['is a page', '<html>', 'nothing in it is a checksum'],
    ['is empty', '', 'nothing in it is a checksum'],
    ['has several lone hashes', `${SHA256}\n${OTHER}\n`, 'does not contain'],
    ['says two things', `${OTHER}  b/image.qcow2\n${SHA256}  a/image.qcow2\n`, 'different checksums for'],
    ['has a tag and a hash that do not fit', `SHA512 (image.qcow2) = ${SHA256}\n`, 'does not contain'],
    ['has an algorithm that nobody knows', `WHIRL (image.qcow2) = ${SHA256}\n`, 'does not contain'],
    ['has a checksum of a length that says nothing', `${'a'.repeat(40)}  image.qcow2\n`, 'a known algorithm'],
  ])('that %s is refused', (_, text, why) => {
    expect(() => find(text)).toThrow(why);
  });

  test('whatever its bytes, ends in a refusal or in digits that fit their algorithm', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        SHA256,
        MD5,
        SHA512,
        'SHA256',
        'image.qcow2',
        '(',
        ')',
        '=',
        ' ',
        '  ',
        '*',
        '\\',
        '\n',
        '\r',
        '#',
        '[',
        ']',
        ':',
      ),
      fc.constantFrom(
        '-----BEGIN PGP SIGNED MESSAGE-----',
        '-----BEGIN PGP SIGNATURE-----',
        'constructor',
        './',
        '\u{0}',
      ),
      fc.string(),
    );
    let found = 0;
    fc.assert(
      fc.property(fc.array(piece), fc.constantFrom(undefined, 'sha256', 'sha512'), (pieces, algorithm) => {
        try {
          const { algorithm: its = '', value } = find(pieces.join(''), [URL], algorithm);
          expect(value).toMatch(/^[0-9a-f]+$/);
          expect(value.length).toBe(hashDigits(its));
          found++;
        } catch (error) {
          if (!(error instanceof AgentError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
    expect(found).toBeGreaterThan(5);
  });

  test('a long line of anything is over quickly', () => {
    const start = performance.now();
    for (const line of ['a', 'ab ', 'x: ', '(', '\\', `${SHA256} `, 'SHA256 ('])
      parseChecksumFile(line.repeat(200_000 / line.length));
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('hash algorithms', () => {
  test.each([
    ['SHA256', 'sha256'],
    ['sha3_256', 'sha3-256'],
    ['blake2b', 'blake2b512'],
    ['blake2s', 'blake2s256'],
    ['SHA512/256', 'sha512-256'],
    ['sha512_224', 'sha512-224'],
    ['RMD160', 'ripemd160'],
    ['sm3', 'sm3'],
    ['shake_128', undefined],
    ['ssl3-md5', undefined],
    ['md5-sha1', undefined],
    ['constructor', undefined],
  ])('%s is %s', (text, name) => {
    expect(hashName(text)).toBe(name);
  });

  test('each gives as many digits as the table says', () => {
    const names = [
      'sha512',
      'sha384',
      'sha224',
      'sha512-256',
      'sha512-224',
      'sha3-512',
      'sha3-384',
      'sha3-256',
      'sha3-224',
      'blake2b512',
      'blake2s256',
      'sm3',
      'ripemd160',
      'sha1',
      'md5',
    ];
    expect(names.map((name) => createHash(name).digest('hex').length)).toEqual(names.map(hashDigits));
  });
});
