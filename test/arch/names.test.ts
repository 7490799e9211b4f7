import { globSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';

// An architecture is a row of a table. A name of one in a condition is the beginning of a builder that works for one only.
const rows = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
const names = new Set(rows.flatMap((row) => [row.name, ...row.aliases, row.debian, row.rpm, row.oci, row.node]));
const quoted = `['"\`](?:${[...names].join('|')})['"\`]`;
const CONDITION = new RegExp(
  String.raw`(?:[=!]==?|\bcase|\bincludes\(|\bstartsWith\(|\bendsWith\()\s*${quoted}|${quoted}\s*[=!]==?`,
);

const sources = globSync('{agent,builder,conductor,elements,system,cli,bench,bin,setup}/**/*.{ts,mjs}');

test.each(sources)('%s has no architecture in a condition', (file) => {
  const lines = readFileSync(file, 'utf8').split('\n');
  expect(lines.filter((line) => CONDITION.test(line))).toEqual([]);
});

test('the check finds what it looks for', () => {
  const found = ["if (arch === 'arm64')", 'case "x86_64":', "'loong64' !== name", "list.includes('aarch64')"];
  expect(found.filter((line) => CONDITION.test(line))).toEqual(found);
  expect(CONDITION.test("const names = ['x64', 'arm64'];")).toBe(false);
});
