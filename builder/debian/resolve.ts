import { createHash } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import type { BuilderHost, Download } from '../host/door.ts';
import { builderFailure } from '../failures.ts';
import { type AptQuestion, expiredLists, openApt, type PrivateApt, signedListsDigest } from './apt.ts';
import type { ResolvedPackage } from '../packages.ts';
import { parseStanzas } from './stanza.ts';

export type DebianPackage = ResolvedPackage;

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

/** Finds packages by their names and by what they provide. */
export function packageIndex(packages: readonly DebianPackage[]): Map<string, DebianPackage> {
  const index = new Map<string, DebianPackage>();
  for (const one of packages) for (const name of one.provides) if (!index.has(name)) index.set(name, one);
  for (const one of packages) index.set(one.name, one);
  return index;
}

/** What is left when some packages, and all that only they need, are left out. */
export function reachable(
  packages: readonly DebianPackage[],
  wanted: readonly string[],
  without: readonly string[],
): DebianPackage[] {
  const index = packageIndex(packages);
  const kept = new Set<DebianPackage>();
  const visit = (name: string) => {
    const found = index.get(name);
    if (found === undefined || kept.has(found) || without.includes(found.name)) return;
    kept.add(found);
    for (const dependency of found.depends) visit(dependency);
  };
  for (const name of wanted) visit(name);
  return packages.filter((one) => kept.has(one));
}

async function choose(apt: PrivateApt, packages: readonly string[], signal: AbortSignal): Promise<DebianPackage[]> {
  if (packages.length === 0) return [];
  const explain = (error: unknown) => {
    signal.throwIfAborted();
    const { stderr = '', stdout = '' } = ((error as Error).cause ?? {}) as { stderr?: string; stdout?: string };
    const lines = `${stderr}\n${stdout}`.split('\n').filter((line) => /^E: | : (Pre-)?Depends: /.test(line));
    const detail = lines.map((line) => line.replace(/^E: /, '').trim()).join('; ') || reasonOf(error);
    return builderFailure('CANNOT_RESOLVE', detail, { cause: error });
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

/** Those of these packages that the lists have. */
async function available(apt: PrivateApt, names: readonly string[], signal: AbortSignal): Promise<string[]> {
  if (names.length === 0) return [];
  const known = new Set((await apt.ask('apt-cache', ['pkgnames'], signal)).split('\n'));
  return names.filter((name) => known.has(name));
}

/** Name of the private APT that answers for this mirror, release and architecture. */
function worldName({ mirror, release, architecture }: AptQuestion): string {
  return createHash('sha256')
    .update(JSON.stringify([mirror, release, architecture]))
    .digest('hex')
    .slice(0, 16);
}

/** Digest of the signed lists that `resolvePackages` used, which must have run before: others may name other packages. */
export async function listsDigest(host: BuilderHost, question: AptQuestion): Promise<string> {
  return signedListsDigest(host.cache.path('apt', worldName(question)));
}

/** Suites whose lists `resolvePackages` accepted although they are past their date; it must have run before. */
export async function expiredSuites(host: BuilderHost, question: AptQuestion, now = new Date()) {
  return expiredLists(host.cache.path('apt', worldName(question)), now);
}

/**
 * Lets APT choose packages and everything that they depend on, from signed lists.
 * @param question.optional packages to choose as well where the mirror has them
 * @param question.without packages to leave out, with all that only they need, although something depends on them
 * @returns in order of their names
 * @throws Failure `CANNOT_RESOLVE` with APT's own words, and those of `openApt`
 */
export async function resolvePackages(
  host: BuilderHost,
  question: AptQuestion & { packages: readonly string[]; optional?: readonly string[]; without?: readonly string[] },
  signal: AbortSignal,
): Promise<DebianPackage[]> {
  const world = worldName(question);
  return host.cache.exclusively(`apt-${world}`, signal, async () => {
    const apt = await openApt(host, host.cache.path('apt', world), question, signal);
    const optional = await available(apt, question.optional ?? [], signal);
    const wanted = [...question.packages, ...optional];
    return reachable(await choose(apt, wanted, signal), wanted, question.without ?? []);
  });
}
