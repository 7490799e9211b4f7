import type { Entry } from './archive/entry.ts';
import type { Download } from './host/door.ts';
import type { PackageScript } from './scripts/shell.ts';

/** One package that a distribution's solver chose. */
export type ResolvedPackage = Download & {
  name: string;
  version: string;
  architecture: string;
  /** Names that it depends on: the first of alternatives and all others, real or virtual. */
  depends: readonly string[];
  provides: readonly string[];
};

/** A package whose files are known; they are in the cache. */
export type UnpackedPackage = ResolvedPackage & {
  entries: readonly Entry[];
  /** Those that a first installation would run. */
  scripts: readonly PackageScript[];
};

/** Packages that a build needs; firmware apart, because a mirror may lack that archive area. */
export type Selection<T> = { main: T[]; firmware: T[] };

/** An npm package of which something is in the agent’s bundle. */
export type BundledPackage = { name: string; version: string; licence?: string };
