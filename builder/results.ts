import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { CHECKOUT } from './agent.ts';
import { checkSize } from './budget.ts';
import type { FileEntry } from './archive/entry.ts';
import type { Context } from './context.ts';
import { outputBase } from './open.ts';
import { packageLicences } from './debian/licences.ts';
import type { BundledPackage, UnpackedPackage } from './packages.ts';
import { initramfsFront, initramfsPieces } from './initramfs.ts';
import { makeManifest, type Manifest, type ManifestFacts, sha256sumLines } from './manifest.ts';
import { changedParts } from './lock.ts';
import type { MediaFormat } from './media/formats.ts';
import { writeMedia } from './media/media.ts';
import type { Media } from './media/parts.ts';
import { DEBIAN_NODE, lockedNode, pinnedNode } from './node.ts';
import { type OutputFile, writeOutput, writeOutputText } from './output.ts';
import { makeSbom } from './sbom.ts';
import { readEntry } from './tree/bytes.ts';

/** What a build has made before it writes anything. */
export type Made = Pick<
  ManifestFacts,
  | 'packages'
  | 'firmwarePackages'
  | 'toolPackages'
  | 'toolMirror'
  | 'kernelPackage'
  | 'kernel'
  | 'tree'
  | 'missingFirmware'
  | 'hooks'
  | 'layers'
> & {
  bundled: readonly BundledPackage[];
  kernel: { /** The image as loaders get it. */ served: FileEntry };
};

export type BuildResult = {
  kernel: OutputFile;
  initramfs: OutputFile;
  manifestFile: OutputFile;
  sbomFile: OutputFile;
  media: { format: MediaFormat; file: OutputFile }[];
  sha256File: OutputFile;
  manifest: Manifest;
  /** Layers that an earlier build had packed. */
  cachedLayers: string[];
};

async function ownVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }).version;
}

async function nodeVersion({ options, row }: Context, packages: readonly UnpackedPackage[]): Promise<string> {
  if (row.nodePackage !== undefined) return (await pinnedNode(options.host, row.nodePackage, options.signal)).version;
  return packages.find((one) => one.name === DEBIAN_NODE.package)?.version ?? '';
}

/** Kernel and initramfs once more, on whatever media were asked for. */
async function writeMediaFiles(
  { options, row, formats, rpm }: Context,
  { image, version }: Made['kernel'],
  { title, base, initramfs }: { title: string; base: string; initramfs: OutputFile },
): Promise<BuildResult['media']> {
  const media: Media = {
    row,
    title,
    kernelVersion: version,
    kernel: { bytes: image.size, pieces: () => readEntry(image) },
    initramfs,
    append: options.append ?? '',
  };
  const written: BuildResult['media'] = [];
  const { host, progress, signal, mirror } = options;
  // Boot loaders are Debian's, and --mirror of an RPM base has none.
  const trees = { host, progress, signal, ...(mirror && rpm === undefined && { mirror }) };
  for (const format of formats) written.push({ format, file: await writeMedia(format, trees, media, base) });
  return written;
}

/** Writes the files of a build, and media; a file that is there already with the same bytes stays as it is. */
export async function writeResults(context: Context, made: Made): Promise<BuildResult> {
  const { options, row, release, plan } = context;
  const { kernel, layers } = made;
  options.progress.update({ phase: 'write results' });
  const ingot = await ownVersion();
  const title = `Ingot ${ingot} for ${row.name}, ${release.title}, Linux ${kernel.version}`;
  const front = await initramfsFront(title);
  checkSize(options.maxBytes, kernel.served.size + front.bytes.byteLength, layers, made.tree);
  const base = outputBase(options, row.name);
  const { signal } = options;
  const kernelFile = await writeOutput(`${base}.kernel`, () => readEntry(kernel.served), signal);
  const initramfs = await writeOutput(`${base}.initramfs`, () => initramfsPieces(front, layers), signal);
  const manifest = await makeManifest({
    ...made,
    ingot,
    row,
    release,
    plan,
    mirror: context.mirror,
    request: context.request,
    digests: context.digests,
    compression: context.compression.name,
    lock: context.lock,
    node: { ...(await lockedNode(row)), version: await nodeVersion(context, made.packages) },
    kernelFile,
    initramfs,
    front,
  });
  for (const part of context.lock ? changedParts(context.lock, manifest) : [])
    options.progress.log(`${part}: other bytes than the locked build has`);
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  const manifestFile = await writeOutputText(`${base}.manifest.json`, text, signal);
  const licences = await packageLicences(made.packages);
  const sbom = makeSbom({ manifest, base: release, bundled: made.bundled, licences });
  const sbomFile = await writeOutputText(`${base}.cdx.json`, `${JSON.stringify(sbom, undefined, 2)}\n`, signal);
  const media = await writeMediaFiles(context, kernel, { title, base, initramfs });
  const sums = [kernelFile, initramfs, manifestFile, sbomFile, ...media.map((one) => one.file)].map((one) => ({
    name: basename(one.path),
    sha256: one.sha256,
  }));
  const sha256File = await writeOutputText(`${base}.sha256`, sha256sumLines(sums), signal);
  const cachedLayers = layers.filter((one) => one.cached).map((one) => one.name);
  return { kernel: kernelFile, initramfs, manifestFile, sbomFile, sha256File, media, manifest, cachedLayers };
}
