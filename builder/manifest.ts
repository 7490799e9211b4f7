import type { Base } from './bases.ts';
import type { UnpackedPackage } from './packages.ts';
import type { Mirror } from './debian/mirror.ts';
import type { DebianPackage } from './debian/resolve.ts';
import type { Architecture } from '../arch/table.ts';
import type { DibRecord } from './dib/record.ts';
import type { Element } from './element/element.ts';
import type { FinishedLayer, Front } from './initramfs.ts';
import type { KernelTree } from './kernel/modules.ts';
import { type Lock, type LockedPackage, lockPackages } from './lock.ts';
import type { OutputFile } from './output.ts';
import { packageOwners, type Plan } from './plan.ts';
import { FOLDER_OWNER, type Tree } from './tree/tree.ts';
import { layerUsage, type Usage } from './usage.ts';

/** What `NAME.manifest.json` says. It has no times and no places, so that the same inputs give the same file. */
export type Manifest = {
  format: 2;
  ingot: string;
  arch: string;
  release: string;
  /** The release for people: `Debian 13 (trixie)`. */
  base: string;
  /** What was asked for; all else follows from it. */
  request: { elements: string[]; packages: string[] };
  elements: { name: string; summary: string; /** Of its declaration and its files. */ sha256: string }[];
  kernel: { version: string; bytes: number; sha256: string };
  initramfs: {
    bytes: number;
    unpackedBytes: number;
    sha256: string;
    /** As `--compress`. */
    compression: string;
    layers: { name: string; bytes: number; unpackedBytes: number; sha256: string }[];
  };
  packages: (LockedPackage & {
    element: string;
    reason?: string;
    /** How much of it is in the ramdisk. */
    files: number;
    installedBytes: number;
  })[];
  /** The Node that runs the agent, and the npm package that it comes from, if any. */
  node: Lock['node'];
  /** Packages of the tools that the build ran; nothing of them is in the ramdisk. */
  tools: LockedPackage[];
  modules: { included: string[]; /** Asked for by an element, and unknown to this kernel. */ absent: string[] };
  firmware: { missing: string[] };
  /** Elements of diskimage-builder: what ran, what it fetched, and what it left installed. */
  hooks?: DibRecord;
  /** Where the bytes of kernel and initramfs go; they add up to `total`. */
  usage: { total: number; rows: Usage[] };
};

type Installed = { files: number; installedBytes: number };

function installedBySource(tree: Tree): Map<string, Installed> {
  const installed = new Map<string, Installed>();
  for (const { entry, owner } of tree.values()) {
    if (owner === FOLDER_OWNER || entry.type === 'directory') continue;
    const before = installed.get(owner.source) ?? { files: 0, installedBytes: 0 };
    const size = entry.type === 'file' ? entry.size : 0;
    installed.set(owner.source, { files: before.files + 1, installedBytes: before.installedBytes + size });
  }
  return installed;
}

/** One row for each package that was resolved; those of which nothing is left say so with zeros. */
export function packageRows(
  packages: readonly LockedPackage[],
  owners: ReadonlyMap<string, string>,
  elements: readonly Element[],
  tree: Tree,
): Manifest['packages'] {
  const installed = installedBySource(tree);
  const reasons = new Map(
    elements.flatMap((one) => [...(one.packages ?? []), ...(one.firmware ?? [])]).map((one) => [one.name, one.reason]),
  );
  return packages.map((one) => {
    const reason = reasons.get(one.name);
    return {
      ...one,
      element: owners.get(one.name) ?? 'kernel',
      ...(reason !== undefined && { reason }),
      ...(installed.get(one.name) ?? { files: 0, installedBytes: 0 }),
    };
  });
}

export type ManifestFacts = {
  ingot: string;
  row: Architecture;
  release: Base;
  plan: Plan;
  packages: readonly UnpackedPackage[];
  /** Names of those that are there for their firmware files alone. */
  firmwarePackages: readonly string[];
  toolPackages: readonly DebianPackage[];
  mirror: Mirror;
  toolMirror: Mirror;
  request: Manifest['request'];
  digests: Lock['elements'];
  compression: string;
  lock: Lock | undefined;
  tree: Tree;
  kernel: KernelTree;
  kernelPackage: string;
  missingFirmware: string[];
  hooks: DibRecord | undefined;
  node: Lock['node'];
  kernelFile: OutputFile;
  initramfs: OutputFile;
  front: Front;
  layers: readonly FinishedLayer[];
};

async function usageRows({ kernelPackage, kernelFile, front, layers, tree }: ManifestFacts): Promise<Usage[]> {
  const whole = (layer: string, element: string, source: string, bytes: number) => ({
    layer,
    element,
    source,
    files: 1,
    unpackedBytes: bytes,
    bytes,
  });
  const shares = await Promise.all(layers.map((layer) => layerUsage(layer, tree)));
  return [
    whole('kernel image', 'kernel', kernelPackage, kernelFile.bytes),
    whole('front', 'base', 'front', front.bytes.byteLength),
    ...shares.flat(),
  ].toSorted((a, b) => b.bytes - a.bytes || (a.source < b.source ? -1 : 1));
}

/** Of a locked package, where it was found; the rest is the same anyway. */
function pickLocked(one: LockedPackage | undefined): Pick<LockedPackage, 'path' | 'archive'> | undefined {
  if (one === undefined) return undefined;
  return { path: one.path, ...(one.archive && { archive: one.archive }) };
}

/** The manifest of a finished build. */
export async function makeManifest(facts: ManifestFacts): Promise<Manifest> {
  const { ingot, row, release, plan, packages, tree, kernel, kernelFile, initramfs, front, layers } = facts;
  // What is locked stays locked as it was, whatever mirror it came from this time.
  const before = new Map(
    [...(facts.lock?.packages ?? []), ...(facts.lock?.tools ?? [])].map((one) => [one.sha256, one]),
  );
  const lock = (some: readonly DebianPackage[], mirror: Mirror): LockedPackage[] =>
    lockPackages(some, mirror).map((one) => ({ ...one, ...pickLocked(before.get(one.sha256)) }));
  const locked = lock(packages, facts.mirror).map((one): LockedPackage =>
    facts.firmwarePackages.includes(one.name) ? { ...one, firmware: true } : one,
  );
  const frontBytes = front.bytes.byteLength;
  return {
    format: 2,
    ingot,
    arch: row.name,
    release: release.name,
    base: release.title,
    request: facts.request,
    elements: plan.elements.map(({ name, summary }, index) => ({
      name,
      summary,
      sha256: facts.digests[index]?.sha256 ?? '',
    })),
    kernel: { version: kernel.version, bytes: kernelFile.bytes, sha256: kernelFile.sha256 },
    initramfs: {
      bytes: initramfs.bytes,
      unpackedBytes: layers.reduce((sum, one) => sum + one.unpackedBytes, frontBytes),
      sha256: initramfs.sha256,
      compression: facts.compression,
      layers: [
        { name: 'front', bytes: frontBytes, unpackedBytes: frontBytes, sha256: front.sha256 },
        ...layers.map(({ name, bytes, unpackedBytes, sha256 }) => ({ name, bytes, unpackedBytes, sha256 })),
      ],
    },
    packages: packageRows(locked, packageOwners(plan, packages), plan.elements, tree),
    node: facts.node,
    tools: lock(facts.toolPackages, facts.toolMirror),
    modules: { included: kernel.modules.map((one) => one.name), absent: kernel.absent },
    firmware: { missing: facts.missingFirmware },
    ...(facts.hooks && { hooks: facts.hooks }),
    usage: { total: kernelFile.bytes + initramfs.bytes, rows: await usageRows(facts) },
  };
}

/** `sha256sum` format, for `sha256sum -c`. */
export function sha256sumLines(files: readonly { name: string; sha256: string }[]): string {
  return files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
}
