import { describe, expect, test } from 'vitest';

import { parseScripts, SCRIPT_QUERY, signatureProblem } from '../../../builder/rpm/unpack.ts';

// What rpmkeys 4.20.1 -Kv prints.
const DIGESTS = `    Header SHA256 digest: OK
    Header SHA1 digest: OK
    Payload SHA256 digest: OK
    RSA signature: NOTFOUND
    DSA signature: NOTFOUND
    MD5 digest: OK
`;

describe('what is wrong with a package', () => {
  test.each([
    ['signed by a stranger', 'Header V4 RSA/SHA512 Signature, key ID a26e73a0: NOKEY'],
    ['signed over SHA-1 where that does not count', 'Header V4 RSA/SHA1 Signature, key ID 08351498: NOTTRUSTED'],
    ['changed after it was signed', 'Payload SHA256 digest: BAD (Expected 7210 != 2395)'],
  ])('%s', (_, line) => {
    expect(signatureProblem(`zlib.rpm:\n    ${line}\n${DIGESTS}`)).toBe(line);
  });

  test('not signed at all', () => {
    expect(signatureProblem(`zlib.rpm:\n    Header RSA signature: NOTFOUND\n${DIGESTS}`)).toBe('it is not signed');
  });
});

describe('scripts of a package', () => {
  const record = (...fields: string[]) => `${fields.join('\u001F')}\u001E`;

  test('are those that an installation runs, with their interpreters', () => {
    const text = [
      record('%pretrans', '<lua>', 'os.remove("/x")'),
      record('%pre', '(none)', '(none)'),
      record('%post', '/sbin/ldconfig', '(none)'),
      record('%trigger', '/bin/sh', 'true\n'),
    ].join('');
    expect(parseScripts(text)).toEqual([
      { kind: '%pretrans', interpreter: '<lua>', text: 'os.remove("/x")' },
      { kind: '%post', interpreter: '/sbin/ldconfig', text: '' },
      { kind: '%trigger', interpreter: '/bin/sh', text: 'true\n' },
    ]);
  });

  test('the question asks rpm for each kind once', () => {
    for (const tag of ['PRETRANS', 'PREIN', 'POSTIN', 'POSTTRANS', 'TRIGGERSCRIPTS', 'FILETRIGGERSCRIPTS'])
      expect(SCRIPT_QUERY.split(`%{${tag}}`)).toHaveLength(2);
  });
});
