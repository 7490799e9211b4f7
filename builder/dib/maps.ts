import { join } from 'node:path';
import { parse } from 'yaml';

import { dibFailure } from './failures.ts';
import type { DibElement } from './find.ts';
import type { ElementFolders } from './folders.ts';

/** Families of distributions, for both kinds of map. DIB's svc-map does not know the newer of the redhat family. */
const FAMILIES: Readonly<Record<string, readonly string[]>> = {
  redhat: ['almalinux', 'fedora', 'rhel', 'centos', 'openeuler', 'rocky'],
  debian: ['debian', 'ubuntu'],
  suse: ['opensuse'],
  gentoo: ['gentoo'],
};

type Distribution = { distro: string; release: string };
type Names = Readonly<Record<string, string>>;

function familyOf(distro: string): string | undefined {
  return Object.keys(FAMILIES).find((family) => FAMILIES[family]?.includes(distro));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name, or none where a map holds something else. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value).trim() : undefined;
}

function child(value: unknown, key: string | undefined): Record<string, unknown> {
  const found = isObject(value) && key !== undefined ? value[key] : undefined;
  return isObject(found) ? found : {};
}

/**
 * The names of an element's pkg-map for one release: those of the release come before those of the distribution, its family and
 * the default. An empty name means that nothing has to be installed.
 * @throws Failure `DIB_BAD_FILE`
 */
export function parsePackageMap(content: string, file: string, { distro, release }: Distribution): Names {
  let map: unknown;
  try {
    map = JSON.parse(content);
  } catch (error) {
    throw dibFailure('DIB_BAD_FILE', `${file}: ${(error as Error).message}`, { cause: error });
  }
  const layers = [
    child(map, 'default'),
    child(child(map, 'family'), familyOf(distro)),
    child(child(map, 'distro'), distro),
    child(child(child(map, 'release'), distro), release),
  ];
  return Object.fromEntries(
    layers.flatMap((layer) => Object.entries(layer)).map(([name, value]) => [name, text(value) ?? '']),
  );
}

/** All pkg-maps, by element; an element without one is not there. */
export async function packageMaps(
  elements: readonly DibElement[],
  folders: ElementFolders,
  distribution: Distribution,
): Promise<ReadonlyMap<string, Names>> {
  const maps = new Map<string, Names>();
  for (const { name, folder } of elements) {
    const file = join(folder, 'pkg-map');
    const content = await folders.read(file);
    if (content !== undefined) maps.set(name, parsePackageMap(content, file, distribution));
  }
  return maps;
}

/**
 * Names of services on this distribution, from the svc-map files of all elements.
 * @throws Failure `DIB_DUPLICATE` when two elements map one service, `DIB_BAD_FILE`
 */
export async function serviceMap(
  elements: readonly DibElement[],
  folders: ElementFolders,
  { distro }: Distribution,
): Promise<Names> {
  const names: Record<string, string> = {};
  const owners = new Map<string, string>();
  for (const { name: element, folder } of elements) {
    const file = join(folder, 'svc-map');
    const content = await folders.read(file);
    if (content === undefined) continue;
    let map: unknown;
    try {
      map = parse(content);
    } catch (error) {
      throw dibFailure('DIB_BAD_FILE', `${file}: ${(error as Error).message}`, { cause: error });
    }
    for (const service of Object.keys(isObject(map) ? map : {})) {
      const before = owners.get(service);
      if (before !== undefined)
        throw dibFailure('DIB_DUPLICATE', `${before} and ${element} both map the service ${service} in svc-map`);
      owners.set(service, element);
      const choices = child(map, service);
      const keys = [distro, familyOf(distro) ?? '', 'default'];
      names[service] = keys.map((key) => text(choices[key])).find((found) => found !== undefined) ?? service;
    }
  }
  return names;
}
