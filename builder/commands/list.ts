import { ARCHITECTURE_NAMES, findArchitecture } from '../../arch/table.ts';
import { defineCommand } from '../../cli/command.ts';
import { helpTable, type OptionTable } from '../../cli/options.ts';
import { findRelease, RELEASE_NAMES } from '../debian/releases.ts';
import { elementNames, ELEMENTS_FOLDER, expandElements } from '../elements.ts';

const OPTIONS = {
  json: { type: 'boolean', help: 'one JSON object' },
} as const satisfies OptionTable;

/** An element alone, without those that it needs. */
async function describe(name: string): Promise<{ name: string; summary: string }> {
  const found = (await expandElements([name])).find((one) => one.name === name);
  return { name, summary: found?.summary ?? '' };
}

export const listCommand = defineCommand({
  summary: 'Lists architectures, releases and elements that a build can name.',
  usage: '[options]',
  options: OPTIONS,
  run: async ({ stdout }, values) => {
    const architectures = ARCHITECTURE_NAMES.flatMap((name) => findArchitecture(name) ?? []);
    const releases = RELEASE_NAMES.flatMap((name) => findRelease(name) ?? []).map((release) => ({
      name: release.name,
      aliases: release.aliases,
      architectures: architectures.filter((row) => row.releases.includes(release.name)).map((row) => row.name),
    }));
    const elements = await Promise.all((await elementNames(ELEMENTS_FOLDER)).map(describe));
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
          releases.map((one) => [one.name, `${one.architectures.join(', ')}; also ${one.aliases.join(', ')}`] as const),
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
