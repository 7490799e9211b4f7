import type { Entry } from '../archive/entry.ts';
import { entryBytes } from '../tree/bytes.ts';
import { parseStanzas } from './stanza.ts';

/**
 * Names of licences in a copyright file, if it is in the form that can be read by machines
 * (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/); none otherwise.
 */
export function licenceNames(text: string): string[] {
  const [head, ...rest] = parseStanzas(text);
  if (!head?.get('format')?.includes('copyright-format')) return [];
  const names = [head, ...rest].flatMap((stanza) => {
    // The first line is the name; the text of the licence follows.
    const name = stanza.get('license')?.split('\n')[0]?.trim();
    return name === undefined || name === '' ? [] : [name];
  });
  return [...new Set(names)].toSorted((a, b) => (a < b ? -1 : 1));
}

/** Licences of Debian packages by their names, from the copyright files that they bring. */
export async function packageLicences(
  packages: readonly { name: string; entries: readonly Entry[] }[],
): Promise<Map<string, string[]>> {
  const found = await Promise.all(
    packages.map(async ({ name, entries }) => {
      const entry = entries.find((one) => one.path === `usr/share/doc/${name}/copyright`);
      if (entry?.type !== 'file') return [name, []] as const;
      return [name, licenceNames(Buffer.from(await entryBytes(entry)).toString('utf8'))] as const;
    }),
  );
  return new Map(found.map(([name, names]) => [name, [...names]]));
}
