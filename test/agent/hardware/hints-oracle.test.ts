import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { compileHints } from '../../../agent/hardware/hints.ts';
import type { DiskRecord } from '../../../agent/hardware/disk-model.ts';

// Hints against a second, independent reading of what oslo.utils' specs_matcher and IPA's device_hints do with them: each operator is
// one line here, on texts that are already trimmed, lower-cased and percent-encoded.

const GIB = 1024 ** 3;

/** Python's urllib.parse.quote of a lower-case text. */
const quote = (text: string) =>
  encodeURIComponent(text.trim().toLowerCase())
    .replaceAll('%2F', '/')
    .replaceAll(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

const TEXT: Record<string, (disk: string, operands: string[]) => boolean> = {
  '': (disk, [a]) => disk === a,
  's==': (disk, [a]) => disk === a,
  's!=': (disk, [a]) => disk !== a,
  's<': (disk, [a = '']) => disk < a,
  's<=': (disk, [a = '']) => disk <= a,
  's>': (disk, [a = '']) => disk > a,
  's>=': (disk, [a = '']) => disk >= a,
  // Upstream looks in the encoded text, where "20" is in every model with a blank: not followed.
  '<in>': (disk, [a = '']) => decodeURIComponent(disk).includes(decodeURIComponent(a)),
  '<or>': (disk, operands) => operands.includes(disk),
  '<all-in>': (disk, operands) => operands.every((one) => decodeURIComponent(disk).includes(decodeURIComponent(one))),
};
const NUMBER: Record<string, (gib: number, operands: number[]) => boolean> = {
  '': (gib, [a]) => gib === a,
  '=': (gib, [a = 0]) => gib >= a,
  '==': (gib, [a]) => gib === a,
  '!=': (gib, [a]) => gib !== a,
  '<': (gib, [a = 0]) => gib < a,
  '<=': (gib, [a = 0]) => gib <= a,
  '>': (gib, [a = 0]) => gib > a,
  '>=': (gib, [a = 0]) => gib >= a,
  '<or>': (gib, operands) => operands.includes(gib),
};
const isNary = (operator: string) => operator === '<or>' || operator === '<all-in>';

function diskOf(parts: Partial<DiskRecord['disk']>): DiskRecord {
  const disk = {
    name: '/dev/sda',
    model: null,
    size: GIB,
    rotational: null,
    wwn: null,
    serial: null,
    vendor: null,
    wwn_with_extension: null,
    wwn_vendor_extension: null,
    hctl: null,
    by_path: null,
    logical_sectors: 512,
    physical_sectors: 512,
    tran: null,
    ...parts,
  };
  return { disk, serials: disk.serial === null ? [] : [disk.serial], wwns: disk.wwn === null ? [] : [disk.wwn] };
}
const matches = (hints: Record<string, unknown>, parts: Partial<DiskRecord['disk']>) =>
  compileHints(hints)(diskOf(parts)).length === 0;

/** Words of a disk: no blanks inside, so that <all-in> has one reading; few letters, so that they often meet. */
const word = fc.stringMatching(/^[A-Ca-c0-2:/_.-]{1,4}$/);
const phrase = fc.stringMatching(/^[A-Ca-c0-2:]{1,3}(?: [a-c0-2]{1,2})?$/);
/** What does not begin like an operator: `s` and the signs are not among the letters. */
const KEYS = [
  'model',
  'wwn',
  'serial',
  'vendor',
  'wwn_with_extension',
  'wwn_vendor_extension',
  'hctl',
  'tran',
] as const;

describe('hints are read as upstream reads them', () => {
  test('texts, with every operator', () => {
    const operator = fc.constantFrom(...Object.keys(TEXT));
    fc.assert(
      fc.property(
        fc.constantFrom(...KEYS),
        operator,
        fc.array(fc.oneof(word, phrase), { minLength: 1, maxLength: 3 }),
        fc.oneof(word, phrase),
        fc.constantFrom('', ' ', '  '),
        (key, sign, operands, value, blanks) => {
          const used = isNary(sign) ? operands : operands.slice(0, 1);
          const words = sign === '<all-in>' ? used.flatMap((one) => one.split(' ')) : used;
          const hint = isNary(sign)
            ? used.map((one) => `${sign} ${one}`).join(' ')
            : `${blanks}${sign}${blanks}${used[0]}${blanks}`;
          const expected = TEXT[sign]?.(quote(value), words.map(quote));
          expect([hint, value, matches({ [key]: hint }, { [key]: value })]).toEqual([hint, value, expected]);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('sizes, with every operator, as bytes divided by 2^30', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(NUMBER)),
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 }),
        fc.oneof(
          fc.integer({ min: 1, max: 6 }).map((gib) => gib * GIB),
          fc.integer({ min: 1, max: 6 * GIB }),
        ),
        (sign, operands, size) => {
          const used = sign === '<or>' ? operands : operands.slice(0, 1);
          const hint = sign === '<or>' ? used.map((one) => `<or> ${one}`).join(' ') : `${sign} ${used[0]}`;
          expect(matches({ size: hint }, { size })).toBe(NUMBER[sign]?.(size / GIB, used));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('rotational, with every word of oslo.utils', () => {
    const words = { true: ['1', 't', 'true', 'on', 'y', 'yes'], false: ['0', 'f', 'false', 'off', 'n', 'no'] };
    for (const [meaning, list] of Object.entries(words))
      for (const text of list)
        for (const rotational of [true, false, null]) {
          const expected = String(rotational) === meaning;
          expect([text, matches({ rotational: text.toUpperCase() }, { rotational })]).toEqual([text, expected]);
        }
  });

  test.each([[{ toString: 0 }], [Object.create(null)], [['10']], [true], [null]])(
    'a size that is no text or number is refused: %j',
    (size) => {
      expect(() => matches({ size }, { size: GIB })).toThrow('cannot use the root device hints: size');
    },
  );

  test('any hint at all is tried or refused in words', () => {
    const hint = fc.oneof(
      fc.string(),
      fc
        .array(
          fc.constantFrom('<or>', '<in>', '<all-in>', '<range-in>', 's==', '==', '!=', '>', ' ', '1', 'a', '[', ')'),
        )
        .map((l) => l.join('')),
      fc.anything(),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...KEYS, 'size', 'rotational', 'name', 'by_path', '__proto__', 'x'),
        hint,
        (key, value) => {
          let error: unknown;
          try {
            matches(Object.fromEntries([[key, value]]), { serial: 'a', size: GIB });
          } catch (reason) {
            error = reason;
          }
          expect(error === undefined || (error as { type?: string }).type === 'InvalidCommandParamsError').toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
