import { describe, expect, test } from 'vitest';

import { helpTable, optionsHelp, parseOptions, sizeBytes } from '../../cli/options.ts';
import { Failure } from '../../system/failure.ts';

const TABLE = {
  out: { type: 'string', short: 'o', placeholder: 'NAME', help: 'name of the output' },
  format: { type: 'string', choices: ['raw', 'qcow2'], help: 'format of the image' },
  count: { type: 'integer', help: 'how many' },
  wait: { type: 'integer', range: [1, 60], help: 'how long' },
  element: { type: 'string', short: 'e', multiple: true, help: 'element to add; may be given again' },
  json: { type: 'boolean', help: 'machine-readable output' },
} as const;

describe('parseOptions', () => {
  test('absent options are undefined, false or an empty list', () => {
    expect(parseOptions(TABLE, [])).toEqual({
      values: { out: undefined, format: undefined, count: undefined, wait: undefined, element: [], json: false },
      positionals: [],
    });
  });

  test('reads every type, short names and positionals', () => {
    const { values, positionals } = parseOptions(TABLE, [
      'debian',
      '-o',
      'a',
      '--count=7',
      '-e',
      'x',
      '-e',
      'y',
      '--json',
    ]);
    expect(values).toEqual({ out: 'a', format: undefined, count: 7, wait: undefined, element: ['x', 'y'], json: true });
    expect(positionals).toEqual(['debian']);
  });

  test.each([
    [['--nope'], '--nope'],
    [['--count', 'many'], 'cannot use --count many: a whole number is needed'],
    [['--count=-1'], 'cannot use --count -1'],
    [['--count', '9'.repeat(17)], 'cannot use --count 99999999999999999: a whole number is needed'],
    [['--wait', '0'], 'cannot use --wait 0: a whole number from 1 to 60 is needed'],
    [['--wait', '61'], 'cannot use --wait 61'],
    [['--format', 'vhd'], 'cannot use --format vhd: it is one of raw, qcow2'],
    [['--out'], '--out'],
  ])('%j is refused with exit code 2 and a reason', (argv, reason) => {
    let failure: unknown;
    try {
      parseOptions(TABLE, argv);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(Failure);
    expect((failure as Failure).exitCode).toBe(2);
    expect((failure as Failure).message).toContain(reason);
  });
});

test('help fits a terminal of 80 columns and shows every option', () => {
  const help = optionsHelp({ ...TABLE, long: { type: 'string', help: 'word '.repeat(60) } });
  for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  for (const name of Object.keys(TABLE)) expect(help).toContain(`--${name}`);
});

test('a name that is too long for its column gets a line of its own', () => {
  expect(helpTable([['a-very-long-name-that-does-not-fit', 'text']])).toBe(
    `  a-very-long-name-that-does-not-fit\n  ${' '.repeat(30)}text`,
  );
});

describe('sizes', () => {
  test.each([
    ['60M', 60e6],
    ['60 MB', 60e6],
    ['1.5k', 1500],
    ['48MiB', 48 * 2 ** 20],
    ['2gib', 2 ** 31],
    ['17', 17],
  ])('%s', (text, bytes) => {
    expect(sizeBytes('max-size', text)).toBe(bytes);
  });

  test.each(['', 'M', '-1', '1e6', '5T', '1 000'])('%j is none', (text) => {
    expect(() => sizeBytes('max-size', text)).toThrow(`cannot use --max-size ${text}`);
  });
});
