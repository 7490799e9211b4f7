import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { canonicalJson } from '../../evidence/canonical.ts';

describe('canonical JSON', () => {
  test('is that of the examples of RFC 8785', () => {
    // Section 3.2.2, and the sorting of 3.2.3: by UTF-16 code units, so the pair of surrogates stands before U+FB33.
    expect(
      canonicalJson({
        numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
        string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
        literals: [null, true, false],
      }),
    ).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
    const unsorted = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew',
      '1': 'One',
      '\ud83d\ude00': 'Emoji',
      '\u0080': 'Control',
      '\u00f6': 'o',
    };
    expect(Object.values(JSON.parse(canonicalJson(unsorted)) as object)).toEqual([
      'One',
      'Carriage Return',
      'Control',
      'o',
      'Euro Sign',
      'Emoji',
      'Hebrew',
    ]);
  });

  test('says the same, and is the same whatever the order of the members', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // JSON has no -0.
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(JSON.parse(canonicalJson(plain))).toEqual(plain);
        expect(canonicalJson(JSON.parse(canonicalJson(plain)))).toBe(canonicalJson(plain));
      }),
    );
    expect(canonicalJson({ b: 1, a: [{ d: 2, c: 3 }] })).toBe(canonicalJson({ a: [{ c: 3, d: 2 }], b: 1 }));
  });

  test.each([undefined, Number.NaN, Infinity, 1n, () => 1, '\ud800', { a: undefined }])(
    'refuses what JSON has not: %s',
    (value) => {
      expect(() => canonicalJson(value)).toThrow('JSON');
    },
  );
});
