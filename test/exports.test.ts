import { globSync, readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

// Dead code grows where nobody looks: what a file exports must be used by another file. (knip would do this, but its
// platform packages cannot all be locked; this check needs none.)
const SOURCES = globSync(
  '{agent,evidence,builder,conductor,elements,machine,arch,system,cli,bench,test,bin}/**/*.{ts,mjs}',
);
const EXPORT = /^export\s+(?:async\s+)?(?:const|let|function\*?|class|type|interface)\s+(\w+)/gm;

const texts = new Map(SOURCES.map((file) => [file, readFileSync(file, 'utf8')]));
const uses = new Map<string, number>();
for (const text of texts.values())
  for (const word of new Set(text.match(/\w+/g))) uses.set(word, (uses.get(word) ?? 0) + 1);

test.each(SOURCES.filter((file) => !file.startsWith('test/')))('%s exports nothing that nobody else names', (file) => {
  const names = [...(texts.get(file) ?? '').matchAll(EXPORT)].map((match) => match[1] ?? '');
  // A type may be exported only because an exported signature mentions it: then its name occurs twice in its own file.
  const occurrences = (name: string) => (texts.get(file) ?? '').split(new RegExp(`\\b${name}\\b`)).length - 1;
  expect(names.filter((name) => uses.get(name) === 1 && occurrences(name) < 2)).toEqual([]);
});
