import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { ARCHITECTURE_NAMES, type Architecture, findArchitecture } from '../arch/table.ts';
import type { Progress } from '../cli/progress.ts';
import { agentParts, elementParts, kernelParts, packageParts } from './parts.ts';
import { CHECKOUT } from './agent.ts';
import { checkElfFiles } from './check.ts';
import { fetchPackages, type UnpackedPackage } from './debian/fetch.ts';
import { findMirror, type Mirror } from './debian/mirror.ts';
import { findRelease, type Release, RELEASE_NAMES } from './debian/releases.ts';
import { expiredSuites, resolvePackages } from './debian/resolve.ts';
import type { Element } from './element/element.ts';
import { expandElements } from './elements.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { checkKernelForm, KERNEL_HEAD_BYTES } from './kernel/image.ts';
import { isKernelPackage, KERNEL_TOOL_PACKAGES, type KernelTree, selectModules } from './kernel/modules.ts';
import { initramfsFront, initramfsPieces, packLayers } from './initramfs.ts';
import { makeManifest, type Manifest, type ManifestFacts, sha256sumLines } from './manifest.ts';
import { type OutputFile, writeOutput, writeOutputText } from './output.ts';
import { DEBIAN_NODE, pinnedNode } from './node.ts';
import { makePlan, type Plan } from './plan.ts';
import { toolSysroot } from './sysroot.ts';
import { readEntry } from './tree/bytes.ts';
import { anyMatcher } from './tree/glob.ts';
import { mergeParts } from './tree/tree.ts';

export type BuildOptions = {
  host: BuilderHost;
  /** `uname -m` name or an alias; `x86_64` unless said. */
  arch?: string | undefined;
  /** The first that has the architecture unless said: `trixie` where it can be. */
  release?: string | undefined;
  /** Distribution that the release has to be one of: `debian`. */
  distribution?: string | undefined;
  /** Path of the results without their endings; `ingot-<arch>` unless said. */
  output?: string | undefined;
  /** As `--mirror`; the host's own APT sources unless said. */
  mirror?: readonly string[];
  /** Elements to put in besides what they need; `agent` unless said. */
  elements?: readonly string[];
  /** Folders with elements besides those that come with Ingot; the first that has a name wins. */
  elementsPath?: readonly string[];
  /** Packages to put in whole besides those of the elements. */
  packages?: readonly string[];
  /** Show each command that a hook runs. */
  trace?: boolean;
  /** Source of the agent's entry; `agent/main.ts` of this checkout unless said. */
  agentEntry?: string | undefined;
  progress: Progress;
  signal: AbortSignal;
};

export type BuildResult = {
  kernel: OutputFile;
  initramfs: OutputFile;
  manifestFile: OutputFile;
  sha256File: OutputFile;
  manifest: Manifest;
  /** Layers that an earlier build had packed. */
  cachedLayers: string[];
};

/** What a build has made before it writes anything. */
type Made = Pick<ManifestFacts, 'packages' | 'kernelPackage' | 'kernel' | 'tree' | 'missingFirmware' | 'layers'>;

type Context = { options: BuildOptions; row: Architecture; release: Release; mirror: Mirror; plan: Plan };

/** Packages that were asked for by name, as an element of their own. */
function wishes(packages: readonly string[]): Element[] {
  if (packages.length === 0) return [];
  const reason = 'asked for on the command line';
  return [{ name: 'command-line', summary: reason, packages: packages.map((name) => ({ name, reason })) }];
}

async function openContext(options: BuildOptions): Promise<Context> {
  const arch = options.arch ?? 'x86_64';
  const row = findArchitecture(arch);
  if (row === undefined)
    throw builderFailure('UNKNOWN_ARCH', arch, { hint: `use one of ${ARCHITECTURE_NAMES.join(', ')}` });
  const wanted = options.release ?? row.releases[0] ?? '';
  const release = findRelease(wanted);
  if (release === undefined || !row.releases.includes(release.name))
    throw builderFailure('UNKNOWN_RELEASE', `${wanted} for ${row.name}`, {
      hint: `use one of ${RELEASE_NAMES.filter((name) => row.releases.includes(name)).join(', ')}`,
    });
  const mirror = await findMirror(options.mirror ?? []);
  const elements = await expandElements(options.elements ?? ['agent']);
  const plan = makePlan([...elements, ...wishes(options.packages ?? [])], row);
  return { options, row, release, mirror, plan };
}

/** Resolves and fetches the elements' packages; firmware apart, because a mirror may lack that archive area. */
async function packagesOf({ options, row, release, mirror, plan }: Context) {
  const { host, progress, signal } = options;
  const question = { mirror, release: release.name, architecture: row.debian };
  progress.update({ phase: 'resolve packages', message: `${release.name} from ${mirror.main}` });
  const names = plan.packages.map((one) => one.name);
  const main = await resolvePackages(host, { ...question, packages: names, without: plan.without }, signal);
  const firmware = await resolvePackages(
    host,
    { ...question, packages: [], optional: plan.firmware.map((one) => one.name), without: plan.without },
    signal,
  );
  const expired = Map.groupBy(await expiredSuites(host, question), (one) => one.validUntil);
  for (const [validUntil, suites] of expired)
    progress.log(
      `the signed lists of ${suites.map((one) => one.suite).join(', ')} were valid until ${validUntil}; accepted, because ${release.acceptExpired ?? 'APT on this machine is told to'}`,
    );
  const absent = plan.firmware.filter((one) => !firmware.some((found) => found.name === one.name));
  if (absent.length > 0)
    progress.log(`the mirror has no ${absent.map((one) => one.name).join(', ')}: built without that firmware`);
  const fetched = await fetchPackages(host, [...main, ...firmware], progress, signal);
  return { main: fetched.slice(0, main.length), firmware: fetched.slice(main.length) };
}

async function mergeTree(
  context: Context,
  kernel: KernelTree,
  packages: Awaited<ReturnType<typeof packagesOf>>,
  tools: string,
) {
  const { options, row, plan } = context;
  const fromKernel = kernelParts(plan, kernel, packages.firmware);
  options.progress.update({ phase: 'bundle the agent' });
  const source = resolve(options.agentEntry ?? join(CHECKOUT, 'agent/main.ts'));
  const parts = [
    ...packageParts(
      plan,
      packages.main.filter((one) => !isKernelPackage(one)),
    ),
    ...fromKernel.parts,
    ...(await agentParts(options.host, plan, row, source, tools, options.signal)),
    ...(await elementParts(plan)),
  ];
  const tree = mergeParts(parts, anyMatcher(plan.prune));
  await checkElfFiles(tree, row);
  return { tree, missingFirmware: fromKernel.missingFirmware };
}

async function ownVersion(): Promise<string> {
  return (JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }).version;
}

async function nodeVersion({ options, row }: Context, packages: readonly UnpackedPackage[]): Promise<string> {
  if (row.nodePackage !== undefined) return (await pinnedNode(options.host, row.nodePackage, options.signal)).version;
  return packages.find((one) => one.name === DEBIAN_NODE.package)?.version ?? '';
}

/** Writes the four files of a build; a file that is there already with the same bytes stays as it is. */
async function writeResults(context: Context, made: Made): Promise<BuildResult> {
  const { options, row, release, plan } = context;
  const { packages, kernelPackage, kernel, tree, missingFirmware, layers } = made;
  options.progress.update({ phase: 'write results' });
  const ingot = await ownVersion();
  const front = await initramfsFront(`Ingot ${ingot} for ${row.name}, Debian ${release.name}, Linux ${kernel.version}`);
  const base = resolve(options.output ?? `ingot-${row.name}`);
  const { signal } = options;
  const kernelFile = await writeOutput(`${base}.kernel`, () => readEntry(kernel.image), signal);
  const initramfs = await writeOutput(`${base}.initramfs`, () => initramfsPieces(front, layers), signal);
  const manifest = await makeManifest({
    ingot,
    row,
    release: release.name,
    plan,
    packages,
    tree,
    kernel,
    kernelPackage,
    missingFirmware,
    node: await nodeVersion(context, packages),
    kernelFile,
    initramfs,
    front,
    layers,
  });
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  const manifestFile = await writeOutputText(`${base}.manifest.json`, text, signal);
  const sums = [kernelFile, initramfs, manifestFile].map((one) => ({ name: basename(one.path), sha256: one.sha256 }));
  const sha256File = await writeOutputText(`${base}.sha256`, sha256sumLines(sums), signal);
  const cachedLayers = layers.filter((one) => one.cached).map((one) => one.name);
  return { kernel: kernelFile, initramfs, manifestFile, sha256File, manifest, cachedLayers };
}

/**
 * Builds a ramdisk: NAME.kernel, NAME.initramfs, NAME.manifest.json and NAME.sha256. Needs neither root nor the host's release;
 * the same packages and sources give the same bytes.
 * @throws Failure of `builder/failures.ts` or `builder/host/failures.ts`; a result that existed before is then untouched
 */
export async function buildRamdisk(options: BuildOptions): Promise<BuildResult> {
  const context = await openContext(options);
  const { host, progress, signal } = options;
  const { row, plan } = context;
  const tools = await toolSysroot({
    host,
    packages: [...KERNEL_TOOL_PACKAGES, ...(row.nodePackage === undefined ? [] : [row.binutilsPackage])],
    ...(options.mirror && { mirror: options.mirror }),
    progress,
    signal,
  });
  const packages = await packagesOf(context);
  const kernelPackages = packages.main.filter(isKernelPackage);
  if (kernelPackages.length === 0) throw builderFailure('CANNOT_PACK', `${plan.kernelPackage} brought no kernel`);
  progress.update({ phase: 'select kernel modules' });
  const modules = plan.modules.map((one) => one.name);
  const kernel = await selectModules(host, kernelPackages, modules, tools, signal);
  for await (const head of readEntry({ ...kernel.image, size: Math.min(kernel.image.size, KERNEL_HEAD_BYTES) }))
    checkKernelForm(head, row);
  if (kernel.absent.length > 0) progress.log(`Linux ${kernel.version} has no module ${kernel.absent.join(', ')}`);
  const { tree, missingFirmware } = await mergeTree(context, kernel, packages, tools);
  const layers = await packLayers(host, tree, progress, signal);
  return writeResults(context, {
    packages: [...packages.main, ...packages.firmware],
    kernelPackage: kernelPackages.find((one) => one.entries.includes(kernel.image))?.name ?? plan.kernelPackage,
    kernel,
    tree,
    missingFirmware,
    layers,
  });
}
