import { resolve } from 'node:path';

import { ARCHITECTURE_NAMES, findArchitecture, hostArchitecture } from '../arch/table.ts';
import { chooseBase } from './bases.ts';
import { parseCompression } from './compression.ts';
import { findMirror, rpmMirror } from './debian/mirror.ts';
import { foreignDigests, splitElements } from './foreign.ts';
import type { BuildOptions, Context } from './context.ts';
import type { Element } from './element/element.ts';
import { builderFailure } from './failures.ts';
import { checkLock, elementDigests, type Lock, readLock } from './lock.ts';
import { lockedNode } from './node.ts';
import { parseFormats } from './media/formats.ts';
import { makePlan } from './plan.ts';
import { openRpmWorkshop, type RpmWorkshop } from './rpm/workshop.ts';
import { settleElements } from './settle.ts';

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
  const rpm = release.rpm && (() => (workshop ??= openRpmWorkshop(release, options)));
  const known = { options, row, release, mirror, plan, compression, formats, request, foreign, digests };
  return { ...known, lock: locked?.lock, rpm };
}
