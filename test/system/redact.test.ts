import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { redact } from '../../system/redact.ts';

describe('a text without secrets', () => {
  test.each([
    ['ipa-agent-token=abc123 quiet', 'ipa-agent-token=*** quiet'],
    ['rootpwd="$6$salt$hashhashhash" x', 'rootpwd=*** x'],
    ["a rootpwd='it is' b", 'a rootpwd=*** b'],
    ['root:$6$rounds=5000$salt$hash./hash:19000:0', 'root:***:19000:0'],
    ['$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o', '***'],
    ['GET http://user:pass@host:8080/a/b.raw failed', 'GET http://***@host:8080/a/b.raw failed'],
    ['https://s3/b.raw?X-Amz-Signature=abc&y=1 is 403', 'https://s3/b.raw?*** is 403'],
    ['{"image_server_password": "hunter \\"2\\"", "x": 1}', '{"image_server_password": "***", "x": 1}'],
    ['{"agent_token":"t"}', '{"agent_token":"***"}'],
    ['authorization: Basic dXNlcjpwYXNz', 'authorization: ***'],
    ['/v1/commands/?agent_token=abc&wait=true', '/v1/commands/?agent_token=***&wait=true'],
    ['x\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\ny', 'x\n-----BEGIN PRIVATE KEY----- ***\ny'],
    ['-----BEGIN EC PRIVATE KEY-----\nMIIB', '-----BEGIN EC PRIVATE KEY----- ***'],
  ])('%j is %j', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  test.each([
    'cannot get an agent token: Ironic has already given one out for this boot',
    'http://127.0.0.1:6385: nothing listens there (ECONNREFUSED)',
    '[    0.000000] Linux version 6.12 (debian-kernel@lists.debian.org)',
    'cannot unpack $1.50 of it',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
    'a password is needed; passwords are kept nowhere',
  ])('%j stays as it is', (text) => {
    expect(redact(text)).toBe(text);
  });

  test('is made of any text, and of a made one again the same', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'$6/:@?=&"\' \n-.abtoken'.split('')) }), (text) => {
        expect(redact(redact(text))).toBe(redact(text));
      }),
    );
  });

  test('takes time in proportion to its length', { timeout: 60_000 }, () => {
    const seconds = (text: string): number => {
      const start = performance.now();
      redact(text);
      return performance.now() - start;
    };
    for (const piece of ['x', 'a-', 'token', 'http://', '$6$a', '"token', '-----BEGIN PRIVATE KEY', 'a:@/']) {
      seconds(piece.repeat(1000));
      const [short, long] = [2 ** 12, 2 ** 16].map((count) => seconds(piece.repeat(count))) as [number, number];
      // 16 times as long; with the noise of a busy machine far below 16 x 16.
      expect([piece, long < (short + 5) * 100]).toEqual([piece, true]);
    }
  });
});
