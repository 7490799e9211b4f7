import { createHash } from 'node:crypto';

import type { BundledPackage } from '../packages.ts';
import type { Entry, FileEntry } from '../archive/entry.ts';
import { builderFailure } from '../failures.ts';

/** Members of the initramfs, by how often they change: a new agent leaves the others as they are. */
export const LAYERS = ['userland', 'kernel', 'node', 'elements', 'agent'] as const;
export type LayerName = (typeof LAYERS)[number];

/** Who brought an entry: an element, what of it, and the layer that it goes into. */
export type Owner = { element: string; source: string; layer: LayerName };
export type Owned = { entry: Entry; owner: Owner };
/** A root tree: path to what is there. */
export type Tree = Map<string, Owned>;

/** One thing that brings entries; `overrides` says that it may replace what packages brought. */
export type Part = {
  owner: Owner;
  entries: readonly Entry[];
  overrides: boolean;
  /** npm packages that are in its files, and that nobody could see there. */
  bundled?: readonly BundledPackage[];
};

export function fileEntry(path: string, bytes: Uint8Array | string, mode = 0o644): FileEntry {
  const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  const digest = createHash('sha256').update(data).digest('hex');
  const content = { kind: 'bytes' as const, bytes: data };
  return { path, mode, uid: 0, gid: 0, type: 'file', size: data.byteLength, digest, content };
}

/** Paths of the folders above a path, outermost first. */
export function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/** Who owns folders that exist only because something is in them. */
export const FOLDER_OWNER: Owner = { element: 'base', source: 'folders', layer: 'userland' };

function isSame(a: Entry, b: Entry): boolean {
  if (a.type === 'directory' && b.type === 'directory') return true;
  if (a.type === 'symlink' && b.type === 'symlink') return a.target === b.target;
  return a.type === 'file' && b.type === 'file' && a.digest === b.digest && a.mode === b.mode;
}

/** A hard link whose file was left out stands for the file from now on. */
function keepLinkedBytes(part: Part, isKept: (path: string) => boolean): Entry[] {
  const files = new Map(part.entries.flatMap((entry) => (entry.type === 'file' ? [[entry.path, entry] as const] : [])));
  const heirs = new Map<string, string>();
  return part.entries.flatMap((entry): Entry[] => {
    if (!isKept(entry.path)) return [];
    if (entry.type !== 'hardlink' || isKept(entry.target)) return [entry];
    const heir = heirs.get(entry.target);
    if (heir !== undefined) return [{ ...entry, target: heir }];
    const file = files.get(entry.target);
    if (file === undefined) throw builderFailure('CANNOT_PACK', `${entry.path} is a hard link to nothing`);
    heirs.set(entry.target, entry.path);
    return [{ ...file, path: entry.path }];
  });
}

/**
 * Puts parts on top of each other. Folders come only where something is in them, or from a part that overrides.
 * @param isPruned paths that are left out whoever brings them
 * @throws Failure `CONFLICTING_FILES` when two parts bring different things to one place and both override, or neither does
 */
export function mergeParts(parts: readonly Part[], isPruned: (path: string) => boolean): Tree {
  const tree: Tree = new Map();
  const folders = new Map<string, Entry>();
  const overridden = new Set<string>();
  for (const part of parts) {
    for (const entry of keepLinkedBytes(part, (path) => !isPruned(path))) {
      const owned = { entry, owner: part.owner };
      if (entry.type === 'directory' && !part.overrides) {
        if (!folders.has(entry.path)) folders.set(entry.path, entry);
        continue;
      }
      const before = tree.get(entry.path);
      const mayReplace = part.overrides && !overridden.has(entry.path);
      if (before !== undefined && !mayReplace && !isSame(before.entry, entry))
        throw builderFailure(
          'CONFLICTING_FILES',
          `/${entry.path}: ${before.owner.source} (${before.owner.element}) and ${part.owner.source} (${part.owner.element}) bring it`,
        );
      if (before === undefined || mayReplace) tree.set(entry.path, owned);
      if (part.overrides) overridden.add(entry.path);
    }
  }
  for (const path of [...tree.keys()].flatMap(parents)) {
    const above = tree.get(path);
    if (above !== undefined && above.entry.type !== 'directory')
      throw builderFailure('CONFLICTING_FILES', `/${path}: something is to go into it, and it is no folder`);
    if (above !== undefined) continue;
    const plain: Entry = { path, mode: 0o755, uid: 0, gid: 0, type: 'directory' };
    tree.set(path, { entry: folders.get(path) ?? plain, owner: FOLDER_OWNER });
  }
  return tree;
}

/** The entries that `isChosen` picks, with the folders above them. */
export function subtree(tree: Tree, isChosen: (owned: Owned) => boolean): Entry[] {
  const chosen = [...tree.values()].filter(isChosen);
  const above = chosen.flatMap(({ entry }) => parents(entry.path)).flatMap((path) => tree.get(path) ?? []);
  return [...new Set([...above, ...chosen])].map(({ entry }) => entry);
}
