import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { reasonOf } from '../../system/failure.ts';
import type { BuilderHost, Download } from '../host/door.ts';
import { builderFailure } from '../failures.ts';
import { type AptQuestion, openApt, type PrivateApt } from './apt.ts';
import { parseStanzas } from './stanza.ts';

/** One package that APT chose. */
export type DebianPackage = Download & {
  name: string;
  version: string;
  architecture: string;
  /** Names that it depends on: the first of alternatives and all others, real or virtual. */
  depends: readonly string[];
  provides: readonly string[];
};

/** `'http://…/name_1%3a2-1_amd64.deb' name_1%3a2-1_amd64.deb 1234 SHA256:…`, as `apt-get --print-uris` prints it. */
export function parsePrintUris(text: string): (Download & { name: string; version: string; architecture: string })[] {
  return text.split('\n').flatMap((line) => {
    const match = /^'([^']+)' (\S+)_(\S+)_(\S+)\.deb (\d+) SHA256:([0-9a-f]{64})$/.exec(line.trim());
    if (!match) return [];
    const [, url = '', name = '', version = '', architecture = '', size = '', sha256 = ''] = match;
    return [{ url, name, version: decodeURIComponent(version), architecture, sizeBytes: Number(size), sha256 }];
  });
}

/** `a (>= 1) | b, c:any` as [a, b, c]. */
export function relationNames(field: string | undefined): string[] {
  return (field ?? '')
    .split(/[,|]/)
    .map((part) => part.trim().replace(/[\s(:[].*$/s, ''))
    .filter(Boolean);
}

/** A dpkg status in which these packages are there already, in a version that satisfies everybody. */
function statusFile(assumed: readonly string[], architecture: string): string {
  return assumed
    .toSorted()
    .map((name) =>
      [
        `Package: ${name}`,
        'Status: install ok installed',
        'Priority: optional',
        'Section: misc',
        'Maintainer: nobody <nobody@localhost>',
        `Architecture: ${architecture}`,
        'Multi-Arch: foreign',
        'Version: 9999:9999',
        'Description: left out on purpose',
        '',
      ].join('\n'),
    )
    .join('\n');
}

async function choose(apt: PrivateApt, packages: readonly string[], signal: AbortSignal): Promise<DebianPackage[]> {
  const explain = (error: unknown) => {
    signal.throwIfAborted();
    const lines = reasonOf(error)
      .split('\n')
      .filter((line) => line.startsWith('E: '));
    return builderFailure('CANNOT_RESOLVE', lines.map((line) => line.slice(3)).join('; ') || reasonOf(error), {
      cause: error,
    });
  };
  const uris = await apt
    .ask('apt-get', ['install', '-y', '--no-install-recommends', '--print-uris', '-q', ...packages], signal)
    .then(parsePrintUris, (error: unknown) => Promise.reject(explain(error)));
  const wanted = uris.map((one) => `${one.name}=${one.version}`);
  const stanzas = wanted.length === 0 ? [] : parseStanzas(await apt.ask('apt-cache', ['show', ...wanted], signal));
  const bySha = new Map(stanzas.map((stanza) => [stanza.get('sha256') ?? '', stanza]));
  return uris
    .map((one) => {
      const stanza = bySha.get(one.sha256);
      // The digest must come from the signed list: APT printed it, and the list has a package with it.
      if (stanza === undefined)
        throw builderFailure('CANNOT_RESOLVE', `${one.name} ${one.version} is in no signed list`);
      return {
        ...one,
        depends: [...relationNames(stanza.get('depends')), ...relationNames(stanza.get('pre-depends'))],
        provides: relationNames(stanza.get('provides')),
      };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * Lets APT choose packages and everything that they depend on, from signed lists.
 * @param assumed packages that are taken as installed, so that nothing draws them in
 * @returns in order of their names
 * @throws Failure `CANNOT_RESOLVE` with APT's own words, and those of `openApt`
 */
export async function resolvePackages(
  host: BuilderHost,
  question: AptQuestion & { packages: readonly string[]; assumed?: readonly string[] },
  signal: AbortSignal,
): Promise<DebianPackage[]> {
  const { mirror, release, architecture } = question;
  const world = createHash('sha256')
    .update(JSON.stringify([mirror, release, architecture]))
    .digest('hex')
    .slice(0, 16);
  return host.cache.exclusively(`apt-${world}`, signal, async () => {
    const apt = await openApt(host, host.cache.path('apt', world), question, signal);
    await writeFile(join(apt.folder, 'status'), statusFile(question.assumed ?? [], architecture));
    return choose(apt, question.packages, signal);
  });
}
