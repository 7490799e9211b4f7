import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { builderFailure } from '../failures.ts';
import { parseStanzas } from './stanza.ts';

/** Where Debian packages come from: the main archive, and the security archive if there is one. */
export type Mirror = { main: string; security: string | undefined };

type Source = { uri: string; suite: string };

/** One-line format of sources.list(5): `deb [options] URI suite component...`. */
export function parseOneLineSources(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)(?:\s|$)/.exec(line);
    return match ? [{ uri: match[1] ?? '', suite: match[2] ?? '' }] : [];
  });
}

/** deb822 format of sources.list(5). A stanza with `Enabled: no` is left out, as APT does. */
export function parseDeb822Sources(text: string): Source[] {
  return parseStanzas(text).flatMap((stanza) => {
    const words = (name: string) => (stanza.get(name) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || /^(no|false|0|off|disable)$/i.test(stanza.get('enabled') ?? 'yes'))
      return [];
    return words('uris').flatMap((uri) => words('suites').map((suite) => ({ uri, suite })));
  });
}

/** Debian's archives end in /debian and /debian-security wherever they are mirrored; the security suite is named so, too. */
function archiveOf(source: Source): keyof Mirror | undefined {
  const path = source.uri.replace(/\/+$/, '');
  if (path.endsWith('/debian-security') || /-security$|\/updates$/.test(source.suite)) return 'security';
  return path.endsWith('/debian') ? 'main' : undefined;
}

/** @returns the first main archive, with the first security archive; undefined when no source is Debian's main archive */
export function chooseMirror(sources: readonly Source[]): Mirror | undefined {
  const find = (archive: keyof Mirror) =>
    sources.find((source) => archiveOf(source) === archive)?.uri.replace(/\/+$/, '');
  const main = find('main');
  return main === undefined ? undefined : { main, security: find('security') };
}

/** `mirror+file:/path` names a file whose first line is the mirror, as Debian's cloud images have it. */
async function followMirrorFile(source: Source): Promise<Source> {
  if (!source.uri.startsWith('mirror+file:')) return source;
  const list = await readFile(source.uri.slice('mirror+file:'.length), 'utf8').catch(() => '');
  return { ...source, uri: /^\s*([a-z]+:\S+)/m.exec(list)?.[1] ?? source.uri };
}

async function hostSources(folder: string): Promise<Source[]> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const names = (await readdir(join(folder, 'sources.list.d')).catch((): string[] => [])).toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  const parts = await Promise.all(
    names.map(async (name) => {
      const text = await read(join(folder, 'sources.list.d', name));
      return name.endsWith('.sources')
        ? parseDeb822Sources(text)
        : name.endsWith('.list')
          ? parseOneLineSources(text)
          : [];
    }),
  );
  return Promise.all(
    [...parseOneLineSources(await read(join(folder, 'sources.list'))), ...parts.flat()].map(followMirrorFile),
  );
}

/**
 * The mirror of an RPM distribution: what its folders of releases are in.
 * @param own the distribution's, used when none is given
 * @throws Failure `NO_MIRROR`
 */
export function rpmMirror(own: string, given: readonly string[]): Mirror {
  const [main = own, ...more] = given.map((url) => url.replace(/\/+$/, ''));
  const bad = [main, ...more].find((url) => !/^(https?|file):\/\//.test(url));
  if (bad !== undefined) throw builderFailure('NO_MIRROR', `${bad} is no http, https or file address`);
  if (more.length > 0) throw builderFailure('NO_MIRROR', `this distribution takes one, not ${more.length + 1}`);
  return { main, security: undefined };
}

/**
 * The mirror to use.
 * @param given `--mirror`, any number of times: an address that ends in `-security` is the security archive
 * @param folder APT's own configuration, from which the mirror is taken when none is given
 * @throws Failure `NO_MIRROR`
 */
export async function findMirror(given: readonly string[], folder = '/etc/apt'): Promise<Mirror> {
  if (given.length > 0) {
    const urls = given.map((url) => url.replace(/\/+$/, ''));
    const bad = urls.find((url) => !/^(https?|file):\/\//.test(url));
    if (bad !== undefined) throw builderFailure('NO_MIRROR', `${bad} is no http, https or file address`);
    const main = urls.find((url) => !url.endsWith('-security'));
    if (main === undefined) throw builderFailure('NO_MIRROR', `${urls.join(', ')} has security updates only`);
    return { main, security: urls.find((url) => url.endsWith('-security')) };
  }
  const mirror = chooseMirror(await hostSources(folder));
  if (mirror === undefined) throw builderFailure('NO_MIRROR', `no source in ${folder} is one`);
  return mirror;
}
