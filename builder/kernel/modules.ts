import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import type { Entry, FileEntry } from '../archive/entry.ts';
import { moduleInfo } from '../archive/elf.ts';
import { builderFailure } from '../failures.ts';
import type { BuilderHost } from '../host/door.ts';
import { toolCommand } from '../sysroot.ts';
import { entryBytes } from '../tree/bytes.ts';
import { fileEntry } from '../tree/tree.ts';

/** Raised when the form of a stored selection changes. */
const FORMAT = 1;

/** A module that goes in, ready for the tree. */
export type KernelModule = {
  /** With `_`, as the kernel itself writes it. */
  name: string;
  /** At `usr/lib/modules/<version>/kernel/…/x.ko`, decompressed. */
  entry: FileEntry;
  /** Names of firmware files that it may ask for, below /usr/lib/firmware. */
  firmware: readonly string[];
};

export type KernelTree = {
  version: string;
  image: FileEntry;
  /** What it was configured with; not every package brings that. */
  configuration: FileEntry | undefined;
  modules: KernelModule[];
  /** Wanted modules that this kernel does not have, neither as a file nor built in: another architecture's, mostly. */
  absent: string[];
  /** modules.dep and its kin, made by depmod for these modules alone. */
  indexes: FileEntry[];
};

/** The kernel writes `_` where file names may have `-`. */
export function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

type KernelPackage = {
  version: string;
  image: FileEntry;
  configuration: FileEntry | undefined;
  files: Map<string, FileEntry>;
  builtin: Set<string>;
  lists: FileEntry[];
};

/** Where packages keep the kernel: Debian until trixie, and from forky on. The first group is the version. */
const IMAGES = [/^boot\/vmlinuz-([^/]+)$/, /^usr\/lib\/modules\/([^/]+)\/vmlinuz$/];

const imageVersion = (path: string) => IMAGES.map((image) => image.exec(path)?.[1]).find(Boolean);

/** Whether a package is the kernel or a part of it: its image, its modules, or lists of them. */
export function isKernelPackage(one: { entries: readonly Entry[] }): boolean {
  return one.entries.some(
    (entry) =>
      entry.type === 'file' && (imageVersion(entry.path) !== undefined || entry.path.startsWith('usr/lib/modules/')),
  );
}

async function readPackage(entries: readonly Entry[]): Promise<KernelPackage> {
  const files = entries.filter((entry): entry is FileEntry => entry.type === 'file');
  const images = files.filter((entry) => imageVersion(entry.path));
  const [image] = images;
  const version = imageVersion(image?.path ?? '');
  // Some RPM packages have the same image in both places.
  const others = images.filter((one) => one.digest !== image?.digest);
  if (image === undefined || version === undefined || others.length > 0)
    throw builderFailure(
      'CANNOT_PACK',
      `the kernel packages have ${others.length > 0 ? 'several images' : 'no image'}`,
    );
  const root = `usr/lib/modules/${version}/`;
  const lists = files.filter(
    (entry) =>
      entry.path.startsWith(root) && /^modules\.(builtin|builtin\.modinfo|order)$/.test(entry.path.slice(root.length)),
  );
  const builtinList = lists.find((entry) => entry.path === `${root}modules.builtin`);
  const builtin = builtinList === undefined ? '' : Buffer.from(await entryBytes(builtinList)).toString('utf8');
  return {
    version,
    image,
    configuration: files.find((one) => one.path === `boot/config-${version}` || one.path === `${root}config`),
    lists,
    builtin: new Set(builtin.split('\n').filter(Boolean).map(moduleName)),
    files: new Map(files.filter((one) => /\.ko(\.\w+)?$/.test(one.path)).map((one) => [moduleName(one.path), one])),
  };
}

/** What a tool tree must have to look into a kernel package. */
export const KERNEL_TOOL_PACKAGES = ['kmod', 'xz-utils', 'zstd'];

const DECOMPRESSORS: Record<string, string> = { '.xz': '/usr/bin/xz', '.zst': '/usr/bin/zstd' };

/** Writes some modules below `folder` and decompresses all of them at once. */
async function expand(
  host: BuilderHost,
  tools: string,
  files: readonly FileEntry[],
  folder: string,
  signal: AbortSignal,
) {
  const byKind = Map.groupBy(files, (one) => /\.ko(\.\w+)?$/.exec(one.path)?.[1] ?? '');
  for (const [kind, group] of byKind) {
    for (const one of group) {
      await mkdir(join(folder, dirname(one.path)), { recursive: true });
      await writeFile(join(folder, one.path), await entryBytes(one));
    }
    if (kind === '') continue;
    const program = DECOMPRESSORS[kind];
    if (program === undefined)
      throw builderFailure('CANNOT_PACK', `kernel modules that end in ${kind} are not understood`);
    const [file, ...args] = toolCommand(tools, program);
    const flags = kind === '.zst' ? ['-d', '-q', '--rm'] : ['-d'];
    await host.run(file, [...args, ...flags, ...group.map((one) => join(folder, one.path))], { signal });
  }
}

function softDependencies(info: Map<string, string[]>): string[] {
  return (info.get('softdep') ?? []).flatMap((line) =>
    line.split(/\s+/).filter((word) => word && !/^(pre|post):$/.test(word)),
  );
}

type Expanded = { module: KernelModule; next: string[] };

async function readModule(name: string, folder: string, file: FileEntry): Promise<Expanded> {
  const path = file.path.replace(/\.ko\.\w+$/, '.ko');
  const bytes = await readFile(join(folder, path));
  const info = moduleInfo(bytes);
  const depends = (info.get('depends') ?? []).flatMap((line) => line.split(',').filter(Boolean));
  return {
    module: { name, entry: fileEntry(path, bytes), firmware: info.get('firmware') ?? [] },
    next: [...depends, ...softDependencies(info)].map(moduleName),
  };
}

/** The wanted modules and, round by round, all that they depend on; those that the kernel does not have are left out. */
async function closure(
  host: BuilderHost,
  tools: string,
  kernel: KernelPackage,
  wanted: readonly string[],
  folder: string,
  signal: AbortSignal,
): Promise<KernelModule[]> {
  const done = new Map<string, KernelModule>();
  let round = wanted;
  while (round.length > 0) {
    const fresh = [...new Set(round)].filter((name) => !done.has(name) && kernel.files.has(name));
    const files = fresh.flatMap((name) => kernel.files.get(name) ?? []);
    await expand(host, tools, files, folder, signal);
    const expanded = await Promise.all(fresh.map((name, index) => readModule(name, folder, files[index] as FileEntry)));
    for (const { module } of expanded) done.set(module.name, module);
    round = expanded.flatMap((one) => one.next);
  }
  return [...done.values()].toSorted((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
}

/** depmod for the modules in `folder`; what it needs of the kernel package's own lists is put there first. */
async function moduleIndexes(
  host: BuilderHost,
  tools: string,
  kernel: KernelPackage,
  folder: string,
  signal: AbortSignal,
) {
  for (const list of kernel.lists) await writeFile(join(folder, list.path), await entryBytes(list));
  const [file, ...args] = toolCommand(tools, '/usr/sbin/depmod');
  await host.run(file, [...args, '-b', folder, '-m', '/usr/lib/modules', kernel.version], { signal });
  const root = `usr/lib/modules/${kernel.version}`;
  const names = (await readdir(join(folder, root)))
    .filter((name) => name.startsWith('modules.'))
    .toSorted((a, b) => (a < b ? -1 : 1));
  // modprobe and udev read the binary indexes; their text twins and the symbol tables are for people.
  const needless = /^modules\.(order|symbols|symbols\.bin|builtin|builtin\.modinfo|dep|alias)$/;
  return Promise.all(
    names
      .filter((name) => !needless.test(name))
      .map(async (name) => fileEntry(`${root}/${name}`, await readFile(join(folder, root, name)))),
  );
}

type Stored = {
  modules: (Omit<KernelModule, 'entry'> & { entry: Omit<FileEntry, 'content'> })[];
  indexes: Omit<FileEntry, 'content'>[];
};

/** A file entry without its bytes, for a list in the cache; the bytes lie at the same path beside that list. */
function withoutContent(entry: FileEntry): Omit<FileEntry, 'content'> {
  const { content, ...rest } = entry;
  return content === undefined ? entry : rest;
}

/**
 * Picks a kernel's modules and makes their indexes, once; the cache keeps both.
 * @param packages the kernel package, or those that it is divided into
 * @param wanted names of modules
 * @param tools root of a tool tree with `KERNEL_TOOL_PACKAGES`
 */
export async function selectModules(
  host: BuilderHost,
  packages: readonly { entries: readonly Entry[]; sha256: string }[],
  wanted: readonly string[],
  tools: string,
  signal: AbortSignal,
): Promise<KernelTree> {
  const names = [...new Set(wanted.map(moduleName))].toSorted((a, b) => (a < b ? -1 : 1));
  const kernel = await readPackage(packages.flatMap((one) => one.entries));
  const key = createHash('sha256')
    .update(JSON.stringify([FORMAT, ...packages.map((one) => one.sha256), basename(tools), names]))
    .digest('hex');
  const folder = await host.cache.directory('modules', key, async (temporary) => {
    await mkdir(join(temporary, 'usr/lib/modules', kernel.version), { recursive: true });
    const modules = await closure(host, tools, kernel, names, temporary, signal);
    const indexes = await moduleIndexes(host, tools, kernel, temporary, signal);
    const stored: Stored = {
      modules: modules.map((one) => ({ ...one, entry: withoutContent(one.entry) })),
      indexes: indexes.map(withoutContent),
    };
    await writeFile(join(temporary, 'modules.json'), JSON.stringify(stored));
  });
  const stored = JSON.parse(await readFile(join(folder, 'modules.json'), 'utf8')) as Stored;
  const withContent = (entry: Omit<FileEntry, 'content'>): FileEntry => ({
    ...entry,
    content: { kind: 'slice', file: join(folder, entry.path), offset: 0 },
  });
  return {
    version: kernel.version,
    image: kernel.image,
    configuration: kernel.configuration,
    absent: names.filter((name) => !kernel.files.has(name) && !kernel.builtin.has(name)),
    modules: stored.modules.map((one) => ({ ...one, entry: withContent(one.entry) })),
    indexes: stored.indexes.map(withContent),
  };
}
