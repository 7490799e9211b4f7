import { join } from 'node:path';

import { dibFailure } from './failures.ts';
import type { DibElement } from './find.ts';
import type { ElementFolders } from './folders.ts';
import { IGNORED_FOLDERS, PHASES, UNSUPPORTED_FOLDERS } from './phases.ts';

/** A file of an element, at its place in the merged tree of all elements. */
export type MergedFile = {
  /** `install.d/10-thing`, `static/etc/thing`. */
  path: string;
  element: string;
  /** Where it is on disk. */
  source: string;
  executable: boolean;
};

/** A file in a phase's folder that looks like a hook and would never run. */
export type HookProblem = {
  file: MergedFile;
  reason: string;
  hint: string;
  /** A warning where it may well be meant as data that another hook uses. */
  severity: 'error' | 'warning';
};

export type MergedHooks = {
  /** Every file but those at the top of an element, in bytewise order of their paths. */
  files: readonly MergedFile[];
  /** Scripts by phase, in the order in which they run. */
  scripts: ReadonlyMap<string, readonly MergedFile[]>;
  /** Files of environment.d, in the order in which bash reads them. */
  environment: readonly MergedFile[];
  problems: readonly HookProblem[];
};

const SCRIPT_NAME = /^[0-9A-Za-z_-]+$/;
const ENVIRONMENT_NAME = /^[0-9A-Za-z_.-]+$/;

const inOrder = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const nameOf = (file: MergedFile) => file.path.slice(file.path.lastIndexOf('/') + 1);

/** The number at the front of a name, 0 without one, as `sort -n` sees it. */
function leadingNumber(name: string): number {
  return Number(/^\d+(\.\d+)?/.exec(name)?.[0] ?? 0);
}

/** By the number at the front, then bytewise: `sort -n` under LC_ALL=C. */
export function hookOrder(a: string, b: string): number {
  return leadingNumber(a) - leadingNumber(b) || inOrder(a, b);
}

async function filesUnder(element: DibElement, folder: string, folders: ElementFolders): Promise<MergedFile[]> {
  const items = (await folders.list(join(element.folder, folder))) ?? [];
  const found = await Promise.all(
    items.map(async ({ name, kind, executable }): Promise<MergedFile[]> => {
      const path = `${folder}/${name}`;
      if (kind === 'folder') return name === '__pycache__' ? [] : filesUnder(element, path, folders);
      return [{ path, element: element.name, source: join(element.folder, path), executable }];
    }),
  );
  return found.flat();
}

/** Folders of an element whose files take part in the merged tree. */
async function foldersOf(element: DibElement, folders: ElementFolders): Promise<string[]> {
  const items = (await folders.list(element.folder)) ?? [];
  return items.filter((one) => one.kind === 'folder' && !IGNORED_FOLDERS.includes(one.name)).map((one) => one.name);
}

/**
 * Refuses elements for other kinds of images.
 * @throws Failure `DIB_UNSUPPORTED` that names the first folder or file that has no place in a ramdisk
 */
export async function checkSupported(elements: readonly DibElement[], folders: ElementFolders): Promise<void> {
  for (const { name, folder } of elements) {
    for (const item of (await folders.list(folder)) ?? []) {
      const isLayout = item.kind === 'file' && /^block-device-.+\.yaml$/.test(item.name);
      const why = isLayout ? 'it lays out a disk, and a ramdisk has none' : UNSUPPORTED_FOLDERS[item.name];
      if (why === undefined) continue;
      throw dibFailure('DIB_UNSUPPORTED', `element ${name}: its ${item.name} has no effect here, because ${why}`, {
        hint: `leave ${name} out, or remove ${item.name} from a copy of it`,
      });
    }
  }
}

/** What DIB leaves out of a phase without a word, where it looks like a mistake. */
function problemOf(file: MergedFile): HookProblem | undefined {
  const name = nameOf(file);
  const isNumbered = /^\d+-/.test(name);
  const isNamed = SCRIPT_NAME.test(name);
  if (isNamed && !file.executable && isNumbered)
    return { file, reason: 'it has no run bit', hint: `chmod +x ${file.source}`, severity: 'error' };
  if (isNamed || !file.executable) return undefined;
  const reason = name.includes('.')
    ? 'its name has a dot, and only letters, digits, - and _ may be in it'
    : 'its name has a character other than letters, digits, - and _';
  const better = name.replace(/\.[^.]*$/, '').replaceAll(/[^0-9A-Za-z_-]/g, '-');
  return { file, reason, hint: `rename it to ${better}`, severity: isNumbered ? 'error' : 'warning' };
}

/** The files directly in a folder of the merged tree. */
function directly(files: readonly MergedFile[], folder: string): MergedFile[] {
  return files.filter((one) => one.path.startsWith(`${folder}/`) && !one.path.slice(folder.length + 1).includes('/'));
}

/** `install.d/<name>-<type>-install`: what is in it counts as if it were in install.d when the type is the one that was chosen. */
function chosenTypes(files: Iterable<MergedFile>, installType: (name: string) => string): MergedFile[] {
  return [...files].flatMap((file) => {
    const match = /^install\.d\/([^/]+)-install\/([^/]+)$/.exec(file.path);
    if (match === null) return [];
    const [, folder = '', name = ''] = match;
    // `a-b-source` is element a-b with type source; types have no dash in them.
    const dash = folder.lastIndexOf('-');
    return installType(folder.slice(0, dash)) === folder.slice(dash + 1)
      ? [{ ...file, path: `install.d/${name}` }]
      : [];
  });
}

const byHookOrder = (a: MergedFile, b: MergedFile) => hookOrder(nameOf(a), nameOf(b));

/**
 * Puts the folders of all elements into one tree, as files of several elements share a phase's folder.
 * @param installType how a thing is installed (DIB_INSTALLTYPE_<thing>): `source` unless somebody says otherwise
 * @throws Failure `DIB_DUPLICATE` when two elements bring one file
 */
export async function mergeHooks(
  elements: readonly DibElement[],
  folders: ElementFolders,
  installType: (name: string) => string = () => 'source',
): Promise<MergedHooks> {
  const merged = new Map<string, MergedFile>();
  const add = (file: MergedFile) => {
    const before = merged.get(file.path);
    if (before !== undefined)
      throw dibFailure('DIB_DUPLICATE', `${before.element} and ${file.element} both bring ${file.path}`);
    merged.set(file.path, file);
  };
  for (const element of elements)
    for (const folder of await foldersOf(element, folders))
      for (const file of await filesUnder(element, folder, folders)) add(file);
  chosenTypes([...merged.values()], installType).forEach(add);
  const files = [...merged.values()].toSorted((a, b) => inOrder(a.path, b.path));
  const isScript = (one: MergedFile) => one.executable && SCRIPT_NAME.test(nameOf(one));
  const scripts = PHASES.map(
    ({ name }) => [name, directly(files, `${name}.d`).filter(isScript).toSorted(byHookOrder)] as const,
  );
  return {
    files,
    scripts: new Map(scripts),
    environment: directly(files, 'environment.d')
      .filter((one) => ENVIRONMENT_NAME.test(nameOf(one)))
      .toSorted(byHookOrder),
    problems: PHASES.flatMap(({ name }) => directly(files, `${name}.d`)).flatMap((file) => problemOf(file) ?? []),
  };
}
