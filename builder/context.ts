import { resolve } from 'node:path';

import { ARCHITECTURE_NAMES, type Architecture, findArchitecture, hostArchitecture } from '../arch/table.ts';
import type { Progress } from '../cli/progress.ts';
import { type Base, chooseBase } from './bases.ts';
import { type Compression, parseCompression } from './compression.ts';
import { findMirror, type Mirror, rpmMirror } from './debian/mirror.ts';
import { foreignDigests, splitElements } from './foreign.ts';
import type { DibRecipe } from './dib/recipe.ts';
import type { Element } from './element/element.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { checkLock, elementDigests, type Lock, readLock } from './lock.ts';
import { lockedNode } from './node.ts';
import { type MediaFormat, parseFormats } from './media/media.ts';
import { makePlan, type Plan } from './plan.ts';
import { openRpmWorkshop, type RpmWorkshop } from './rpm/select.ts';
import { settleElements } from './settle.ts';

export type BuildOptions = {
  host: BuilderHost;
  /** `uname -m` name or an alias; this machine's own unless said. */
  arch?: string | undefined;
  /** The first that has the architecture unless said: `trixie` where it can be. */
  release?: string | undefined;
  /** Distribution that the release has to be one of: `debian`, `openeuler`, `centos`. */
  distribution?: string | undefined;
  /** Path of the results without their endings; `ingot-<arch>` unless said. */
  output?: string | undefined;
  /** As `--mirror`; the host's own APT sources unless said. */
  mirror?: readonly string[];
  /** Files with keys that an RPM base's packages are signed with, in place of the distribution's own. */
  keys?: readonly string[] | undefined;
  /** Elements to put in besides what they need; `agent` unless said. */
  elements?: readonly string[] | undefined;
  /** Folders with elements besides those that come with Ingot; the first that has a name wins. */
  elementsPath?: readonly string[];
  /** Variables that elements may use: those of whoever builds. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Packages to put in whole besides those of the elements. */
  packages?: readonly string[];
  /** Largest size of kernel and initramfs together, bytes; a build that is larger fails. */
  maxBytes?: number | undefined;
  /** As `--compress`; zstd at its release level unless said. */
  compress?: string | undefined;
  /** As `--format`: media to write besides kernel and initramfs. */
  formats?: readonly string[];
  /** Kernel parameters to put on media behind those that are there anyway. */
  append?: string | undefined;
  /** Build what this manifest locks instead of resolving packages; true for that of the output itself. */
  lock?: string | boolean | undefined;
  /** Show each command that a hook runs. */
  trace?: boolean;
  /** Source of the agent's entry; `agent/main.ts` of this checkout unless said. */
  agentEntry?: string | undefined;
  progress: Progress;
  signal: AbortSignal;
};

/** What is to be built, with every name looked up. */
export type Context = {
  options: BuildOptions;
  row: Architecture;
  release: Base;
  mirror: Mirror;
  plan: Plan;
  compression: Compression;
  formats: readonly MediaFormat[];
  /** What was asked for, by names. */
  request: Lock['request'];
  /** Elements of diskimage-builder whose hooks have to run. */
  foreign: DibRecipe | undefined;
  /** Digests of the plan's elements. */
  digests: Lock['elements'];
  lock: Lock | undefined;
  /** What it takes to work with RPM packages, opened when it is first asked for; of RPM bases only. */
  rpm: (() => Promise<RpmWorkshop>) | undefined;
};

/** Packages that were asked for by name, as an element of their own. */
function wishes(packages: readonly string[]): Element[] {
  if (packages.length === 0) return [];
  const reason = 'asked for on the command line';
  return [{ name: 'command-line', summary: reason, packages: packages.map((name) => ({ name, reason })) }];
}

const defaultArch = () => hostArchitecture()?.name ?? process.arch;

/** Where the results of a build go, without their endings. */
export function outputBase(options: BuildOptions, arch: string): string {
  return resolve(options.output ?? `ingot-${arch}`);
}

async function findLock(options: BuildOptions): Promise<{ lock: Lock; path: string } | undefined> {
  if (options.lock === undefined || options.lock === false) return undefined;
  const arch = options.arch ?? defaultArch();
  const own = `${outputBase(options, findArchitecture(arch)?.name ?? arch)}.manifest.json`;
  const path = options.lock === true ? own : options.lock;
  return { lock: await readLock(path), path };
}

/**
 * Looks up what a build is of, without touching the network.
 * @throws Failure `UNKNOWN_ARCH`, `UNKNOWN_RELEASE`, `NO_MIRROR`, `ELEMENT_INVALID`, `NO_LOCK`, `LOCK_MISMATCH`
 */
export async function openContext(options: BuildOptions): Promise<Context> {
  const locked = await findLock(options);
  const arch = options.arch ?? locked?.lock.arch ?? defaultArch();
  const row = findArchitecture(arch);
  if (row === undefined)
    throw builderFailure('UNKNOWN_ARCH', arch, { hint: `use one of ${ARCHITECTURE_NAMES.join(', ')}` });
  const release = chooseBase(row, options.release ?? locked?.lock.release, options.distribution);
  const formats = parseFormats(options.formats ?? []);
  const compression = parseCompression(options.compress ?? locked?.lock.initramfs.compression);
  const mirror = release.rpm
    ? rpmMirror(release.rpm.mirror, options.mirror ?? [])
    : await findMirror(options.mirror ?? []);
  const request = {
    elements: [...(options.elements ?? locked?.lock.request.elements ?? ['agent'])],
    packages: [...(options.packages?.length ? options.packages : (locked?.lock.request.packages ?? []))],
  };
  const { native, foreign } = await splitElements(request.elements, options);
  const elements = await settleElements(native, row, options);
  const plan = makePlan([...elements, ...wishes(request.packages)], row, release.family, release.rpm?.fromDebian);
  const digests = [...(await elementDigests(plan.elements)), ...(await foreignDigests(foreign))];
  const node = { version: '', ...(await lockedNode(row)) };
  if (locked !== undefined)
    checkLock(locked.lock, { arch: row.name, release: release.name, elements: digests, node }, locked.path);
  let workshop: Promise<RpmWorkshop> | undefined;
  const rpm = release.rpm && (() => (workshop ??= openRpmWorkshop({ options, release })));
  const known = { options, row, release, mirror, plan, compression, formats, request, foreign, digests };
  return { ...known, lock: locked?.lock, rpm };
}
