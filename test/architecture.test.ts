import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

import { describe, expect, test } from 'vitest';

/** The import table lives in ARCHITECTURE.md, where people read it; this test makes it the law. */
function importTable(): Map<string, string[]> {
  const lines = readFileSync('ARCHITECTURE.md', 'utf8').split('\n');
  const rows = lines.flatMap((line) => {
    const match = /^\| `([^`]+)` \| [^|]* \|([^|]*)\|$/.exec(line);
    return match
      ? [[match[1] ?? '', [...(match[2] ?? '').matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? '')] as const]
      : [];
  });
  return new Map(rows.map(([room, allowed]) => [room, [...allowed]]));
}

const table = importTable();
const rooms = [...table.keys()].toSorted((a, b) => b.length - a.length);
const files = globSync('{agent,evidence,builder,conductor,elements,machine,arch,system,cli,bench,test}/**/*.ts');
const IMPORT = /^(?:import|export)\s+(type\s+)?[^'"]*?from\s+['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm;

function roomOf(file: string): string | undefined {
  return rooms.find((room) => file === room || file.startsWith(`${room}/`));
}

function imports(file: string): { typeOnly: boolean; target: string }[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((m) => ({
    typeOnly: m[1] !== undefined,
    target: m[2] ?? m[3] ?? '',
  }));
}

describe('the import table of ARCHITECTURE.md', () => {
  test('was found and knows every file', () => {
    expect(table.size).toBeGreaterThan(10);
    expect(files.filter((file) => roomOf(file) === undefined)).toEqual([]);
  });

  test.each(files)('%s imports only from the rooms it may', (file) => {
    const room = roomOf(file) ?? '';
    const allowed = table.get(room) ?? [];
    const wrong = imports(file)
      .filter(({ target }) => target.startsWith('.'))
      .map(({ typeOnly, target }) => ({ typeOnly, other: roomOf(normalize(join(dirname(file), target))) ?? target }))
      .filter(
        ({ typeOnly, other }) =>
          other !== room && !allowed.includes(other) && !(typeOnly && allowed.includes(`type ${other}`)),
      )
      .map(({ typeOnly, other }) => `${room} may not import ${typeOnly ? 'types of ' : ''}${other}`);
    expect(wrong).toEqual([]);
  });

  test('no two rooms import each other', () => {
    const both = [...table].flatMap(([room, allowed]) =>
      allowed.filter((other) => table.get(other)?.includes(room)).map((other) => `${room} <-> ${other}`),
    );
    expect(both).toEqual([]);
  });
});
