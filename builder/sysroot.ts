import { createHash } from 'node:crypto';
import { link, mkdir, open, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

import type { Progress } from '../cli/progress.ts';
import { findArchitecture, hostArchitecture } from '../arch/table.ts';
import type { Entry, FileEntry } from './archive/entry.ts';
import { fetchPackages } from './debian/fetch.ts';
import { findMirror } from './debian/mirror.ts';
import { MERGED_FOLDERS } from './debian/paths.ts';
import { type DebianPackage, resolvePackages } from './debian/resolve.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';

/** Raised when the form of a tool tree changes. */
const FORMAT = 1;

export type SysrootOptions = {
  host: BuilderHost;
  /** Debian packages; what they depend on comes with them. */
  packages: readonly string[];
  /** Packages that nothing shall draw in although something depends on them. */
  without?: readonly string[];
  /** `trixie` unless said. */
  release?: string;
  /** `uname -m` name; this machine's own unless said. */
  arch?: string;
  /** As `--mirror`; the host's own sources unless said. */
  mirror?: readonly string[];
  progress: Progress;
  signal: AbortSignal;
};

async function writeFileEntry(entry: FileEntry, path: string): Promise<void> {
  const mode = (entry.mode & 0o777) | 0o600; // set-id programs have no business in a tool tree
  if (entry.content.kind === 'bytes') return writeFile(path, entry.content.bytes, { mode });
  const source = await open(entry.content.file, 'r');
  const target = await open(path, 'w', mode);
  try {
    if (entry.size === 0) return;
    const { offset } = entry.content;
    for await (const piece of source.createReadStream({
      start: offset,
      end: offset + entry.size - 1,
      autoClose: false,
    }))
      await target.writeFile(piece as Uint8Array);
  } finally {
    await source.close();
    await target.close();
  }
}

async function writeEntry(entry: Entry, root: string): Promise<void> {
  const path = join(root, entry.path);
  if (entry.type === 'directory') return void (await mkdir(path, { recursive: true }));
  await mkdir(dirname(path), { recursive: true });
  switch (entry.type) {
    case 'file':
      return writeFileEntry(entry, path);
    case 'hardlink':
      return link(join(root, entry.target), path);
    case 'symlink':
      // Absolute links would lead out of the tree, into the host.
      return symlink(
        entry.target.startsWith('/') ? relative(dirname(path), join(root, entry.target)) || '.' : entry.target,
        path,
      );
    case 'character':
    case 'block':
    case 'fifo': // of no use to a tool, and only root can make devices
  }
}

/** Writes entries as real files under `root`; owners are whoever runs this. Hard links come last, when their targets are there. */
async function materialise(entries: readonly Entry[], root: string, signal: AbortSignal): Promise<void> {
  for (const folder of MERGED_FOLDERS) await symlink(`usr/${folder}`, join(root, folder));
  for (const folder of MERGED_FOLDERS) await mkdir(join(root, 'usr', folder), { recursive: true });
  const unique = [...new Map(entries.map((entry) => [entry.path, entry])).values()];
  const isLink = (entry: Entry) => entry.type === 'hardlink';
  for (const entry of [...unique.filter((one) => !isLink(one)), ...unique.filter(isLink)]) {
    signal.throwIfAborted();
    await writeEntry(entry, root);
  }
}

/** The packages of a tool tree, as APT chooses them. */
export async function resolveTools(options: SysrootOptions): Promise<DebianPackage[]> {
  const { host, signal, progress } = options;
  const row = options.arch === undefined ? hostArchitecture() : findArchitecture(options.arch);
  if (row === undefined) throw builderFailure('UNKNOWN_ARCH', options.arch ?? process.arch);
  progress.update({ phase: 'resolve tool packages', message: options.packages.join(' ') });
  return resolvePackages(
    host,
    {
      mirror: await findMirror(options.mirror ?? []),
      release: options.release ?? 'trixie',
      architecture: row.debian,
      packages: options.packages,
      without: options.without ?? [],
    },
    signal,
  );
}

/** Unpacks packages into a folder of the cache, unless an earlier build did. */
export async function layOutTools(
  { host, progress, signal }: Pick<SysrootOptions, 'host' | 'progress' | 'signal'>,
  packages: readonly DebianPackage[],
): Promise<string> {
  const digest = createHash('sha256')
    .update(JSON.stringify([FORMAT, packages.map((one) => one.sha256)]))
    .digest('hex');
  return host.cache.directory('sysroots', digest, async (folder) => {
    const unpacked = await fetchPackages(host, packages, progress, signal);
    progress.update({ phase: 'lay out tools' });
    await materialise(
      unpacked.flatMap((one) => one.entries),
      folder,
      signal,
    );
  });
}

/**
 * A folder with Debian packages and all that they depend on, unpacked without scripts and without root: a place to take tools
 * from, whatever release the host has. Programs in it run by their own loader, see `toolCommand`.
 * @returns absolute path of the folder, in the cache; never changed once made
 */
export async function toolSysroot(options: SysrootOptions): Promise<string> {
  return layOutTools(options, await resolveTools(options));
}

/**
 * The command that runs a program of a tool tree with the tree's own loader and libraries, so that it works on any host.
 * @param program absolute path inside the tree: `/usr/bin/qemu-img`
 */
export function toolCommand(
  root: string,
  program: string,
  arch: string = process.arch,
): [file: string, ...args: string[]] {
  const row = findArchitecture(arch);
  if (row === undefined) throw builderFailure('UNKNOWN_ARCH', arch);
  const libraries = [`${root}/usr/lib/${row.multiarch}`, `${root}/usr/lib`].join(':');
  return [join(root, row.loader), '--library-path', libraries, join(root, program)];
}
