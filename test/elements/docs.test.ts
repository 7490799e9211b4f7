import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { checkElement, ElementSchema } from '../../builder/element/element.ts';
import { allElements } from '../../builder/elements.ts';

const text = readFileSync('docs/elements.md', 'utf8');
const elements = await allElements({ folders: [] });

/** What is said below a heading. */
const section = (heading: string) => text.split(`\n### ${heading}\n`)[1]?.split(/\n##/)[0] ?? '';
const cells = (part: string) => [...part.matchAll(/^\| `([^|]+)` \|/gm)].map((match) => match[1] ?? '');

describe('docs/elements.md', () => {
  test('has a section for each element that comes with Ingot, and for no other', () => {
    const headings = [...text.matchAll(/^### (\S+)$/gm)].map((match) => match[1] ?? '');
    expect(headings.toSorted()).toEqual(elements.map((one) => one.name).toSorted());
  });

  test.each(elements.map((one) => [one.name, one] as const))(
    'lists the variables of %s with their defaults',
    (name, one) => {
      const rows = [...section(name).matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|/gm)].map(([, variable, value]) => [
        variable,
        value,
      ]);
      expect(rows).toEqual(Object.entries(one.env ?? {}).map(([variable, facts]) => [variable, facts.default]));
    },
  );

  test('lists every field of the schema', () => {
    const listed = cells(text.split('## What comes with Ingot')[0] ?? '').flatMap((cell) => cell.split('`, `'));
    const fields = Object.keys(ElementSchema.properties).filter((field) => field !== 'agent');
    expect(listed.toSorted()).toEqual(fields.toSorted());
  });

  test('shows an element that is one', () => {
    const json = /```json\n([^]+?)```/.exec(text)?.[1] ?? '';
    expect(checkElement(JSON.parse(json), 'rack-tools').name).toBe('rack-tools');
  });
});
