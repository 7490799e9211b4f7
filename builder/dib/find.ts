import { join } from 'node:path';

import { dibFailure } from './failures.ts';
import type { ElementFolders } from './folders.ts';

/** An element in the format of diskimage-builder (DIB): a folder with a folder for each phase. */
export type DibElement = {
  name: string;
  folder: string;
  /** Names in `element-deps`. */
  deps: readonly string[];
  /** Names in `element-provides`: what it stands for. */
  provides: readonly string[];
};

/** All elements of a list of folders. */
export type Catalogue = {
  names: readonly string[];
  /** Elements that another of the same name hides, because its folder comes first. */
  shadowed: readonly { name: string; folder: string; by: string }[];
  element: (name: string) => Promise<DibElement | undefined>;
};

/** One name a line; empty lines and those that start with `#` do not count. */
export function parseNames(text: string | undefined): string[] {
  return (text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * Looks into the folders of ELEMENTS_PATH: the first that has a name wins.
 * @throws Failure `DIB_NO_FOLDER`
 */
export async function openCatalogue(paths: readonly string[], folders: ElementFolders): Promise<Catalogue> {
  const found = new Map<string, string>();
  const shadowed: { name: string; folder: string; by: string }[] = [];
  for (const path of paths) {
    const items = await folders.list(path);
    if (items === undefined) throw dibFailure('DIB_NO_FOLDER', path);
    for (const item of items) {
      if (item.kind !== 'folder' || item.name.startsWith('.') || item.name === '__pycache__') continue;
      const folder = join(path, item.name);
      const by = found.get(item.name);
      if (by === undefined) found.set(item.name, folder);
      else if (by !== folder) shadowed.push({ name: item.name, folder, by });
    }
  }
  return {
    names: [...found.keys()].toSorted(),
    shadowed,
    element: async (name) => {
      const folder = found.get(name);
      if (folder === undefined) return undefined;
      const [deps, provides] = await Promise.all(
        ['element-deps', 'element-provides'].map(async (file) => parseNames(await folders.read(join(folder, file)))),
      );
      return { name, folder, deps: deps ?? [], provides: provides ?? [] };
    },
  };
}
