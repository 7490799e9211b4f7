import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { defineCommand } from '../../cli/command.ts';
import { helpTable, type OptionTable } from '../../cli/options.ts';
import { basesFor } from '../bases.ts';
import { allElements } from '../elements.ts';

const OPTIONS = {
  json: { type: 'boolean', help: 'one JSON object' },
} as const satisfies OptionTable;

/** openEuler's releases have dozens of spellings; --json has all of them. */
const ALIASES_SHOWN = 3;

export const listCommand = defineCommand({
  summary: 'Lists architectures, releases and elements that a build can name.',
  usage: '[options]',
  options: OPTIONS,
  run: async ({ stdout }, values) => {
    const architectures = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
    const releases = [...new Set(architectures.flatMap((row) => basesFor(row)))].map(
      ({ name, title, aliases, architectures: archs }) => ({ name, title, aliases, architectures: archs }),
    );
    const elements = (await allElements({ folders: [] })).map(({ name, summary }) => ({ name, summary }));
    if (values.json) {
      const names = architectures.map(({ name, aliases }) => ({ name, aliases }));
      stdout.write(`${JSON.stringify({ architectures: names, releases, elements }, null, 2)}\n`);
      return 0;
    }
    stdout.write(
      [
        'Architectures (--arch)',
        helpTable(architectures.map((row) => [row.name, `also ${row.aliases.join(', ')}`] as const)),
        '',
        'Releases (--release)',
        helpTable(
          releases.map(
            (one) =>
              [
                one.name,
                `${one.title}: ${one.architectures.join(', ')}; also ${one.aliases.slice(0, ALIASES_SHOWN).join(', ')}`,
              ] as const,
          ),
        ),
        '',
        'Elements (--element)',
        helpTable(elements.map((one) => [one.name, one.summary] as const)),
        '',
      ].join('\n'),
    );
    return 0;
  },
});
