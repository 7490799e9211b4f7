import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { ARCHITECTURE_NAMES, findArchitecture } from '../arch/table.ts';
import { findQemuMachine } from '../arch/qemu.ts';
import { DetailsSchema } from '../agent/api/inventory.ts';
import { COLLECTORS } from '../agent/collectors.ts';
import { COMMANDS, STEPS } from '../agent/commands/table.ts';
import { ManifestSchema } from '../agent/plugins/manifest.ts';
import { PARAMETERS } from '../agent/config/config.ts';
import { type ParameterSpec, showValue } from '../agent/config/values.ts';
import { WITHOUT_MEANING } from '../agent/config/without-meaning.ts';

/** First cells of the table rows under a heading of docs/agent.md, without their back-ticks. */
function rows(heading: string): string[] {
  const [, section = ''] = readFileSync('docs/agent.md', 'utf8').split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '');
}

describe('docs/agent.md and docs/agent-configuration.md list exactly what the agent has', () => {
  test('parameters, with what they are called and what they are without being set', () => {
    const code = (name: string | undefined) => (name === undefined ? '' : `\`${name}\``);
    const wanted = Object.values<ParameterSpec>(PARAMETERS).map(
      ({ parameter, group, option, lookup, help, default: value }) => {
        const text = showValue(value) || undefined;
        const inFile = option === undefined || group === undefined ? option : `[${group}] ${option}`;
        return `| ${[code(parameter), code(inFile), code(lookup), help, code(text)].join(' | ')} |`;
      },
    );
    const [, section = ''] = readFileSync('docs/agent-configuration.md', 'utf8').split('\n## Parameters\n');
    const [own = ''] = section.split('\n## ');
    const [, table = ''] = own.split('|---|---|---|---|---|\n');
    expect(table.split('\n\n')[0]?.trimEnd().split('\n')).toEqual(wanted);
  });
  test('collectors, what each adds, and where it has that from', () => {
    const text = readFileSync('docs/agent.md', 'utf8');
    for (const { name, adds, summary } of COLLECTORS) {
      expect(text).toContain(`| \`${name}\` | ${adds.map((key) => `\`${key}\``).join(', ')} | ${summary} |`);
    }
    expect(rows('Collectors')).toEqual(COLLECTORS.map(({ name }) => name));
  });
  test('options that have no effect here, with the reasons', () => {
    const wanted = WITHOUT_MEANING.map(({ parameter, options = [], group, reason }) => {
      const names = [
        ...(parameter === undefined ? [] : [parameter]),
        ...options.map((name) => (group ? `[${group}] ${name}` : name)),
      ];
      return `| ${names.map((name) => `\`${name}\``).join(', ')} | ${reason} |`;
    });
    const [, section = ''] = readFileSync('docs/agent-configuration.md', 'utf8').split('\n## Without effect\n');
    const [, table = ''] = section.split('|---|---|\n');
    expect(table.split('\n\n')[0]?.trimEnd().split('\n')).toEqual(wanted);
  });
  test('details', () => {
    expect(rows('Details')).toEqual(Object.keys(DetailsSchema.properties));
  });
  test('commands', () => {
    expect(rows('Commands')).toEqual(COMMANDS.map(({ name }) => name));
  });
  test('steps', () => {
    expect(rows('Steps')).toEqual(STEPS.map(({ step }) => step));
  });
});

test.each(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md')])(
  'every link of %s leads somewhere',
  (file) => {
    const targets = [...readFileSync(file, 'utf8').matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '');
    expect(targets.filter((target) => !existsSync(join(dirname(file), target)))).toEqual([]);
  },
);

describe('docs/steps.md', () => {
  const text = readFileSync('docs/steps.md', 'utf8');
  test.each([
    ['acme-firmware', '**', 3],
    ['storcli-raid', 'files/**', 2],
  ])('shows the example %s as it is', (name, shown, count) => {
    const files = globSync(`docs/examples/steps/${name}/${shown}`, { withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    expect(files).toHaveLength(count);
    for (const file of files) expect(text).toContain(readFileSync(join(file.parentPath, file.name), 'utf8'));
  });
  test('lists every field of a manifest and of its steps', () => {
    const listed = (heading: string) =>
      [...(text.split(`| ${heading} |`)[1]?.split('\n\n')[0] ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(
        (match) => match[1],
      );
    const { properties } = ManifestSchema;
    expect(listed('field')).toEqual(Object.keys(properties));
    expect(listed('field of a step')).toEqual(Object.keys(properties.steps.items.properties));
  });
});

describe('docs/ironic-python-agent.md', () => {
  const table = readFileSync('docs/ironic-python-agent.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, feature = '', here = '', words = '', proof = '']) => ({ feature, here, words, proof }))
    .slice(1);

  test('has a row for all that IPA can do', () => {
    expect(table.length).toBeGreaterThanOrEqual(45);
    const words = ['yes', 'differs', 'not yet', 'no'];
    expect(table.filter(({ here }) => !words.includes(here))).toEqual([]);
  });

  const isThere = ({ here }: { here: string }) => here === 'yes' || here === 'differs';
  test.each(table.filter(isThere))('$feature: a test proves it', ({ proof }) => {
    expect(proof).toMatch(/\]\(\.\.\/test\//);
  });
  test.each(table.filter((row) => !isThere(row)))('$feature: not there, with a reason', ({ words }) => {
    expect(words.length).toBeGreaterThan(30);
  });
  test.each(table.filter(({ here }) => here === 'differs'))('$feature: what differs is told', ({ words }) => {
    expect(words).not.toBe('');
  });
});

test('each decision is in the index', () => {
  const index = readFileSync('docs/decisions/README.md', 'utf8');
  for (const file of globSync('docs/decisions/0*.md')) expect(index).toContain(file.split('/').at(-1));
});

test('docs/network-boot.md has the DHCP values and iPXE programs of the tables in arch/', () => {
  const text = readFileSync('docs/network-boot.md', 'utf8');
  const numbers = (cell = '') => (cell.match(/\d+/g) ?? []).map(Number);
  const shown = [...text.matchAll(/^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| `([^`]+)` \|$/gm)].map(
    ([, name, pxe, http, ipxe]) => ({ name, pxe: numbers(pxe), http: numbers(http), ipxe }),
  );
  const wanted = ARCHITECTURE_NAMES.map((name) => ({
    name,
    ...findArchitecture(name)?.boot.dhcp,
    ipxe: basename(findQemuMachine(name)?.ipxe ?? ''),
  }));
  expect(shown).toEqual(wanted);
});

test('the tests against defects of peers that docs/images.md names are there', () => {
  const [, section = ''] = readFileSync('docs/images.md', 'utf8').split('\n## Defects that others have\n');
  const [table = ''] = section.split('\n## ');
  const named = [...table.matchAll(/`([\w/-]+\.test\.ts)`(?:, "([^"]+)")?/g)];
  expect(named.length).toBeGreaterThan(9);
  for (const [, path = '', name = ''] of named) expect(readFileSync(`test/agent/${path}`, 'utf8')).toContain(name);
});
