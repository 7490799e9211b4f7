import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { cutElf } from '../../../builder/archive/elf-cut.ts';
import { elfInterpreter } from '../../../builder/archive/elf.ts';
import { isNeedless, trimIcu, trimIcuLibraries } from '../../../builder/node/icu.ts';
import { findIcuPackage, icuPackageBytes } from '../../../builder/node/icu-package.ts';
import { entryBytes } from '../../../builder/tree/bytes.ts';
import { fileEntry, type Tree } from '../../../builder/tree/tree.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeBuilderHost } from '../../fakes/builder-host.ts';

/** ICU's header as `genccode` writes it, then a table with these items; the last one ends the file. */
function icuFile(names: readonly string[], before = 32): Buffer {
  const header = Buffer.alloc(32);
  header.writeUInt16LE(32, 0);
  header.set([0xda, 0x27], 2);
  header.writeUInt16LE(20, 4);
  header.set([0, 0, 2, 0], 8);
  header.write('CmnD', 12, 'latin1');
  header.set([1, 0, 0, 0], 16);
  const file = Buffer.concat([Buffer.alloc(before, 0x5a), header]);
  const empty = { offset: before, prefix: 'icudt78l/', last: '', end: 0 };
  const items = names.map((name, index) => ({ name, bytes: Buffer.alloc(20 + index, index + 1) }));
  return Buffer.concat([file.subarray(0, before), icuPackageBytes(file, empty, items, false)]);
}

describe('ICU’s data', () => {
  test('is read back as it was written, whatever the items and wherever it lies', () => {
    const name = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?\.res$/);
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 20 }), fc.nat(200), (names, before) => {
        const sorted = names.toSorted((a, b) => (a < b ? -1 : 1));
        const found = findIcuPackage(icuFile(sorted, before));
        expect(found?.offset).toBe(before);
        expect(found?.items.map((one) => one.name)).toEqual(sorted.slice(0, -1));
        found?.items.forEach(({ bytes }, index) => {
          expect(bytes.subarray(0, 20 + index)).toEqual(Buffer.alloc(20 + index, index + 1));
        });
      }),
    );
  });

  test.each([
    ['zoneinfo64.res', ['aa.res', 'pool.res', 'root.res', 'zoneinfo64.res']],
    ['zu.res', ['aa.res', 'pool.res', 'root.res', 'zu.res']],
  ])('that ends with %s is found again when it is made smaller twice', (last, names) => {
    const file = Buffer.concat([icuFile(['ab.res', ...names.toSorted((a, b) => (a < b ? -1 : 1))]), Buffer.alloc(64)]);
    const whole = findIcuPackage(file);
    const once = findIcuPackage(trimIcu(file));
    const twice = findIcuPackage(trimIcu(trimIcu(file)));
    expect(whole?.last).toBe(last);
    expect(once?.last).toBe(isNeedless(last) ? 'root.res' : last);
    expect(twice).toEqual(once);
    expect(once?.end === whole?.end).toBe(!isNeedless(last));
  });

  test.each(['root.res', 'en.res', 'coll/en_US.res', 'en_US_POSIX.res', 'pool.res', 'units.res', 'zoneinfo64.res'])(
    '%s stays',
    (name) => expect(isNeedless(name)).toBe(false),
  );
  test.each([
    'uts46.nrm',
    'cnvalias.icu',
    'brkitr/word.brk',
    'zone/root.res',
    'curr/supplementalData.res',
    'new.thing',
  ])('%s stays, too', (name) => expect(isNeedless(name)).toBe(false));
  test.each(['de.res', 'zone/sr_Latn_RS.res', 'en_GB.res', 'yue_Hant.res', 'ibm-437_P100-1995.cnv', 'lang/en.res'])(
    '%s goes',
    (name) => expect(isNeedless(name)).toBe(true),
  );

  test.each([
    ['nothing at all', Buffer.alloc(0)],
    ['its mark at the very start', Buffer.from('CmnD')],
    ['its mark without the magic', Buffer.alloc(100).fill('CmnD')],
    ['a table that is longer than the file', icuFile(['a.res', 'b.res']).subarray(0, 72)],
  ])('a file with %s comes back as it is', (_, bytes) => expect(trimIcu(bytes)).toBe(bytes));
});

describe('the Node that runs this, with less of ICU', () => {
  let folder = '';
  let program = '';
  let original: Buffer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-icu-'));
    program = join(folder, 'node');
    original = await readFile(process.execPath);
    await writeFile(program, trimIcu(original), { mode: 0o755 });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('is 25 MB smaller, still an ELF file with its loader, and the same each time', async () => {
    const bytes = await readFile(program);
    expect(original.byteLength - bytes.byteLength).toBeGreaterThan(25e6);
    expect(elfInterpreter(bytes)).toBe(elfInterpreter(original));
    expect(Buffer.compare(bytes, trimIcu(original))).toBe(0);
    expect(trimIcu(bytes).byteLength).toBe(bytes.byteLength);
  });

  /** Everything that asks ICU for something, in English, and with a locale that is not there. */
  const questions = `JSON.stringify([
    new Date(1e12).toLocaleString('en-US', { timeZone: 'Europe/Berlin', timeZoneName: 'long' }), (1234567.891).toLocaleString('en'),
    new Intl.NumberFormat('en', { style: 'unit', unit: 'megabyte', unitDisplay: 'long' }).format(2),
    new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' }).format(2), ['b', 'ä', 'a10', 'a9', 'Z'].sort(new Intl.Collator('en', { numeric: true }).compare),
    ['NFC', 'NFD', 'NFKC', 'NFKD'].map((form) => 'ﬁÅé'.normalize(form)), [...'aé中1😀'.matchAll(/\\p{L}|\\p{Emoji_Presentation}/gu)].map(String),
    /^\\p{RGI_Emoji}$/v.test('👩‍👩‍👧'), 'İI'.toLocaleLowerCase('tr'), [...new Intl.Segmenter('en', { granularity: 'word' }).segment('Hello, world.')].length,
    new Intl.PluralRules('en', { type: 'ordinal' }).select(2), new Intl.ListFormat('en').format(['a', 'b']), new Intl.RelativeTimeFormat('en').format(-3, 'day'),
    new TextDecoder('utf-16le').decode(Buffer.from('hé', 'utf16le')), new TextDecoder('utf-16be').decode(Buffer.from([0, 104, 0, 233])),
    new TextDecoder('latin1').decode(Buffer.from([0xe9])), new URL('http://müller.example/ä').href, require('url').domainToUnicode('xn--espaol-zwa.com'),
    Intl.supportedValuesOf('timeZone').length, Intl.DateTimeFormat().resolvedOptions().timeZone,
  ])`;
  const ask = async (file: string, expression: string, LC_ALL = 'C') =>
    (await systemRun(file, ['-p', expression], { env: { LC_ALL, TZ: 'UTC' } })).stdout;

  test('answers in English as the whole one does', async () => {
    expect(await ask(program, questions)).toBe(await ask(process.execPath, questions));
  });

  test('keeps its length when a note in it may be somebody’s, as that of a single executable is, and runs all the same', async () => {
    const other = Buffer.from(original);
    for (let at = other.indexOf('GNU\0'); at >= 0 && at < 4096; at = other.indexOf('GNU\0', at))
      other.write('ABC\0', at);
    const file = join(folder, 'other-note');
    await writeFile(file, trimIcu(other), { mode: 0o755 });
    expect((await readFile(file)).byteLength).toBe(original.byteLength);
    expect(await ask(file, "(1234.5).toLocaleString('en')")).toBe('1,234.5\n');
  });

  test('starts with another language, and does not fail for one that it does not have', async () => {
    expect(await ask(program, "(1234.5).toLocaleString('de-DE')", 'de_DE.UTF-8')).toBe('1,234.5\n');
    expect(await ask(program, "'b'.localeCompare('a', 'ja')", 'ja_JP.UTF-8')).toBe('1\n');
  });
});

test('of a tree, the library with ICU’s data is made smaller, and nothing else is touched', async () => {
  await using host = await fakeBuilderHost();
  const owner = { element: 'agent', source: 'libicu78', layer: 'userland' as const };
  const data = icuFile(['aa.res', 'de.res', 'root.res', 'zh.res', 'zoneinfo64.res', 'zu.res']);
  const paths = ['usr/lib/x/libicudata.so.78.3', 'opt/node/lib/libicudata.so.78', 'usr/share/icudt78l.dat'];
  const tree: Tree = new Map(paths.map((path) => [path, { entry: fileEntry(path, data), owner }]));
  await trimIcuLibraries(host, tree);
  const names = await Promise.all(
    [...tree.values()].map(async ({ entry }) => {
      if (entry.type !== 'file') throw new Error('no file');
      return findIcuPackage(await entryBytes(entry))?.items.map((one) => one.name);
    }),
  );
  const all = ['aa.res', 'de.res', 'root.res', 'zh.res', 'zoneinfo64.res'];
  expect(names[0]).toEqual(names[1]);
  expect(names).toEqual([names[0], names[0], all]);
  expect(names[0]).not.toContain('de.res');
});

test('what is no ELF file, or has nothing to cut, stays whole', () => {
  const text = Buffer.from('#!/bin/sh\n'.repeat(20_000));
  expect(cutElf(text, 70_000, 190_000)).toBe(text);
});
