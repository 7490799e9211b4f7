import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

import { reasonOf } from '../system/failure.ts';
import type { Mirror } from './debian/mirror.ts';
import { type DebianPackage, packageIndex } from './debian/resolve.ts';
import type { Element } from './element/element.ts';
import { elementFiles } from './elements.ts';
import { builderFailure } from './failures.ts';
import type { Selection } from './packages.ts';

const LockedPackageSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  architecture: Type.String(),
  /** Of the package file. */
  bytes: Type.Integer(),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  /** Below the mirror, so that any mirror will do. */
  path: Type.String(),
  /** Of the mirror's archives: the main one unless said. */
  archive: Type.Optional(Type.Literal('security')),
  /** Which of the other packages it depends on. */
  depends: Type.Array(Type.String()),
  /** It is there for its firmware files alone. */
  firmware: Type.Optional(Type.Literal(true)),
});

/** What of a manifest is needed to build the same again. */
const LockSchema = Type.Object({
  format: Type.Literal(2),
  arch: Type.String(),
  release: Type.String(),
  /** What was asked for; all else follows from it. */
  request: Type.Object({ elements: Type.Array(Type.String()), packages: Type.Array(Type.String()) }),
  elements: Type.Array(Type.Object({ name: Type.String(), sha256: Type.String() })),
  kernel: Type.Object({ sha256: Type.String() }),
  initramfs: Type.Object({
    compression: Type.String(),
    layers: Type.Array(Type.Object({ name: Type.String(), sha256: Type.String() })),
  }),
  packages: Type.Array(LockedPackageSchema),
  node: Type.Object({
    version: Type.String(),
    npm: Type.Optional(Type.Object({ name: Type.String(), integrity: Type.String() })),
  }),
  tools: Type.Array(LockedPackageSchema),
});

export type Lock = Static<typeof LockSchema>;
export type LockedPackage = Static<typeof LockedPackageSchema>;

/** Reads a manifest as a lock. @throws Failure `NO_LOCK` */
export async function readLock(path: string): Promise<Lock> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw builderFailure('NO_LOCK', `${path}: ${reasonOf(error)}`, { cause: error });
  }
  if (Value.Check(LockSchema, value)) return value;
  const [first] = Value.Errors(LockSchema, value);
  throw builderFailure('NO_LOCK', `${path}: ${first?.instancePath || 'it'} ${first?.message ?? 'is no manifest'}`);
}

/** A package with nothing in it that depends on the mirror it came from. */
export function lockPackages(packages: readonly DebianPackage[], mirror: Mirror): LockedPackage[] {
  const index = packageIndex(packages);
  const place = (url: string): Pick<LockedPackage, 'path' | 'archive'> => {
    if (url.startsWith(`${mirror.main}/`)) return { path: url.slice(mirror.main.length + 1) };
    const { security } = mirror;
    if (security !== undefined && url.startsWith(`${security}/`))
      return { path: url.slice(security.length + 1), archive: 'security' };
    return { path: url };
  };
  return packages.map(({ name, version, architecture, sizeBytes, sha256, url, depends }) => {
    const names = new Set(depends.flatMap((one) => index.get(one)?.name ?? []));
    return { name, version, architecture, bytes: sizeBytes, sha256, depends: [...names], ...place(url) };
  });
}

/** The same package at a mirror. Debian moves security updates into the main archive with the next point release. */
function unlock({ bytes, path, archive, ...rest }: LockedPackage, mirror: Mirror): DebianPackage {
  const base = archive === undefined ? mirror.main : (mirror.security ?? mirror.main);
  const url = /^[a-z]+:/.test(path) ? path : `${base}/${path}`;
  const { name, version, architecture, sha256, depends } = rest;
  return { name, version, architecture, sha256, depends, provides: [], sizeBytes: bytes, url };
}

/** The packages of a lock, as if a solver had chosen them. */
export function lockedSelection(lock: Lock, mirror: Mirror): Selection<DebianPackage> {
  const of = (rows: LockedPackage[]) => rows.map((one) => unlock(one, mirror));
  return {
    main: of(lock.packages.filter((one) => !one.firmware)),
    firmware: of(lock.packages.filter((one) => one.firmware)),
  };
}

/** The locked tools; undefined when they are those of a machine of another architecture. */
export function lockedTools(lock: Lock, debianArch: string, mirror: Mirror): DebianPackage[] | undefined {
  const fits = lock.tools.every((one) => one.architecture === debianArch || one.architecture === 'all');
  return fits ? lock.tools.map((one) => unlock(one, mirror)) : undefined;
}

/** What an element is, declaration and files, as one digest. */
async function elementDigest(element: Element): Promise<string> {
  const files = (await elementFiles(element)).map((entry) => {
    if (entry.type !== 'file') return entry;
    const { content, ...rest } = entry;
    return content === undefined ? entry : rest;
  });
  // Where an element's folder is makes no difference to what it brings.
  const { home: _, ...rest } = element;
  const declared = JSON.stringify(rest);
  return createHash('sha256')
    .update(JSON.stringify([declared, files]))
    .digest('hex');
}

/** Elements by their digests, in their order. */
export async function elementDigests(elements: readonly Element[]): Promise<{ name: string; sha256: string }[]> {
  return Promise.all(elements.map(async (one) => ({ name: one.name, sha256: await elementDigest(one) })));
}

/**
 * Refuses to build from a lock what it was not made for.
 * @throws Failure `LOCK_MISMATCH` with all differences
 */
export function checkLock(lock: Lock, now: Pick<Lock, 'arch' | 'release' | 'elements' | 'node'>, path: string): void {
  const before = new Map(lock.elements.map((one) => [one.name, one.sha256]));
  const names = new Set(now.elements.map((one) => one.name));
  const said = ({ version, npm }: Lock['node']) =>
    npm ? `${npm.name} ${version} (${npm.integrity.slice(0, 20)}…)` : '';
  const differences = [
    ...(lock.arch === now.arch ? [] : [`it is for ${lock.arch}, not for ${now.arch}`]),
    ...(lock.release === now.release ? [] : [`it is of ${lock.release}, not of ${now.release}`]),
    ...now.elements.filter((one) => !before.has(one.name)).map((one) => `element ${one.name} is not in it`),
    ...lock.elements.filter((one) => !names.has(one.name)).map((one) => `element ${one.name} is only in it`),
    ...now.elements
      .filter((one) => before.has(one.name) && before.get(one.name) !== one.sha256)
      .map((one) => `element ${one.name} has changed`),
    ...(lock.arch !== now.arch || said(lock.node) === said(now.node)
      ? []
      : [`Node was ${said(lock.node)}, and is ${said(now.node)}`]),
  ];
  if (differences.length > 0) throw builderFailure('LOCK_MISMATCH', `${path} locks: ${differences.join('; ')}`);
}

/** Which parts of a build have other bytes than the one that was locked. */
export function changedParts(lock: Lock, made: Pick<Lock, 'kernel' | 'initramfs'>): string[] {
  const before = new Map(lock.initramfs.layers.map((one) => [one.name, one.sha256]));
  return [
    ...(lock.kernel.sha256 === made.kernel.sha256 ? [] : ['kernel']),
    ...made.initramfs.layers.filter((one) => before.get(one.name) !== one.sha256).map((one) => `layer ${one.name}`),
  ];
}
