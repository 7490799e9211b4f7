import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { ARCHITECTURE_NAMES, type Architecture, findArchitecture } from '../arch/table.ts';
import type { Progress } from '../cli/progress.ts';
import { agentParts, elementParts, kernelParts, packageParts } from './parts.ts';
import { CHECKOUT } from './agent.ts';
import type { Entry } from './archive/entry.ts';
import { checkElfFiles } from './check.ts';
import { fetchPackages, type UnpackedPackage } from './debian/fetch.ts';
import { findMirror, type Mirror } from './debian/mirror.ts';
import { findRelease, RELEASE_NAMES } from './debian/releases.ts';
import { resolvePackages } from './debian/resolve.ts';
import { expandElements } from './elements.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { inParallel } from './host/download.ts';
import { KERNEL_TOOL_PACKAGES, type KernelTree, selectModules } from './kernel/modules.ts';
import { type Layer, packLayer, type PackedLayer, plainArchive } from './layers.ts';
import { layerRows, type Manifest, packageRows, sha256sumLines } from './manifest.ts';
import { type OutputFile, writeOutput, writeOutputText } from './output.ts';
import { makePlan, packageOwners, type Plan } from './plan.ts';
import { toolSysroot } from './sysroot.ts';
import { readEntry } from './tree/bytes.ts';
import { anyMatcher } from './tree/glob.ts';
import { fileEntry, LAYERS, mergeParts, subtree, type Tree } from './tree/tree.ts';
import { layerUsage, type Usage } from './usage.ts';

export type BuildOptions = {
  host: BuilderHost;
  /** `uname -m` name or an alias; `x86_64` unless said. */
  arch?: string | undefined;
  /** `trixie` unless said. */
  release?: string | undefined;
  /** Path of the results without their endings; `ingot-<arch>` unless said. */
  output?: string | undefined;
  /** As `--mirror`; the host's own APT sources unless said. */
  mirror?: readonly string[];
  /** Elements to put in besides what they need; `agent` unless said. */
  elements?: readonly string[];
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

type Context = { options: BuildOptions; row: Architecture; release: string; mirror: Mirror; plan: Plan };

async function openContext(options: BuildOptions): Promise<Context> {
  const arch = options.arch ?? 'x86_64';
  const row = findArchitecture(arch);
  if (row === undefined)
    throw builderFailure('UNKNOWN_ARCH', arch, { hint: `use one of ${ARCHITECTURE_NAMES.join(', ')}` });
  const wanted = options.release ?? 'trixie';
  const release = findRelease(wanted);
  if (release === undefined || !row.releases.includes(release))
    throw builderFailure('UNKNOWN_RELEASE', `${wanted} for ${row.name}`, {
      hint: `use one of ${RELEASE_NAMES.filter((name) => row.releases.includes(name)).join(', ')}`,
    });
  const mirror = await findMirror(options.mirror ?? []);
  const plan = makePlan(await expandElements(options.elements ?? ['agent']), row);
  return { options, row, release, mirror, plan };
}

/** Resolves and fetches the elements' packages; firmware apart, because a mirror may lack that archive area. */
async function packagesOf({ options, row, release, mirror, plan }: Context) {
  const { host, progress, signal } = options;
  const question = { mirror, release, architecture: row.debian };
  progress.update({ phase: 'resolve packages', message: `${release} from ${mirror.main}` });
  const names = plan.packages.map((one) => one.name);
  const main = await resolvePackages(host, { ...question, packages: names, without: plan.without }, signal);
  const firmware = await resolvePackages(
    host,
    { ...question, packages: [], optional: plan.firmware.map((one) => one.name), without: plan.without },
    signal,
  );
  const absent = plan.firmware.filter((one) => !firmware.some((found) => found.name === one.name));
  if (absent.length > 0)
    progress.log(`the mirror has no ${absent.map((one) => one.name).join(', ')}: built without that firmware`);
  const fetched = await fetchPackages(host, [...main, ...firmware], progress, signal);
  return { main: fetched.slice(0, main.length), firmware: fetched.slice(main.length) };
}

const isKernel = (one: UnpackedPackage) => one.entries.some((entry) => entry.path.startsWith('boot/vmlinuz-'));

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
      packages.main.filter((one) => !isKernel(one)),
    ),
    ...fromKernel.parts,
    ...(await agentParts(options.host, plan, row, source, tools, options.signal)),
    ...(await elementParts(plan)),
  ];
  const tree = mergeParts(parts, anyMatcher(plan.prune));
  await checkElfFiles(tree, row);
  return { tree, missingFirmware: fromKernel.missingFirmware };
}

async function packLayers(tree: Tree, { options }: Context): Promise<{ layers: Layer[]; packed: PackedLayer[] }> {
  const layers = LAYERS.map((name) => ({ name, entries: subtree(tree, ({ owner }) => owner.layer === name) })).filter(
    (layer) => layer.entries.length > 0,
  );
  const size = (entry: Entry) => (entry.type === 'file' ? entry.size : 0) + 120;
  const total = layers.flatMap((layer) => layer.entries).reduce((sum, entry) => sum + size(entry), 0);
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    options.progress.update({ phase: 'compress', done: Math.min(done, total), total, unit: 'bytes' });
  };
  // The largest first, so that both processors have work to the end.
  const order = layers.toSorted(
    (a, b) => b.entries.reduce((s, e) => s + size(e), 0) - a.entries.reduce((s, e) => s + size(e), 0),
  );
  const packed = await inParallel(order, 2, options.signal, (layer, signal) =>
    packLayer(options.host, layer, signal, onBytes),
  );
  return { layers, packed: layers.flatMap((layer) => packed.find((one) => one.name === layer.name) ?? []) };
}

async function version(): Promise<string> {
  return (JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }).version;
}

/**
 * The uncompressed front of the initramfs. A file that starts with zstd's magic would be unpacked by Ironic's conductor before it
 * is served; the kernel takes both forms one after the other.
 */
async function front(release: string): Promise<Uint8Array> {
  const folder = (path: string): Entry => ({ path, mode: 0o755, uid: 0, gid: 0, type: 'directory' });
  return plainArchive([
    folder('dev'),
    { path: 'dev/console', mode: 0o600, uid: 0, gid: 0, type: 'character', major: 5, minor: 1 },
    folder('etc'),
    fileEntry('etc/ingot-release', `${release}\n`),
  ]);
}

/**
 * Builds a ramdisk: NAME.kernel, NAME.initramfs, NAME.manifest.json and NAME.sha256. Needs neither root nor the host's release;
 * the same packages and sources give the same bytes.
 * @throws Failure of `builder/failures.ts` or `builder/host/failures.ts`; a result that existed before is then untouched
 */
export async function buildRamdisk(options: BuildOptions): Promise<BuildResult> {
  const context = await openContext(options);
  const { host, progress, signal } = options;
  const { row, release, plan } = context;
  const tools = await toolSysroot({
    host,
    packages: [...KERNEL_TOOL_PACKAGES, row.binutilsPackage],
    ...(options.mirror && { mirror: options.mirror }),
    progress,
    signal,
  });
  const packages = await packagesOf(context);
  const kernelPackage = packages.main.find(isKernel);
  if (kernelPackage === undefined) throw builderFailure('CANNOT_PACK', `${plan.kernelPackage} brought no kernel`);
  progress.update({ phase: 'select kernel modules' });
  const modules = plan.modules.map((one) => one.name);
  const kernel = await selectModules(host, kernelPackage, modules, tools, signal);
  if (kernel.absent.length > 0) progress.log(`Linux ${kernel.version} has no module ${kernel.absent.join(', ')}`);
  const { tree, missingFirmware } = await mergeTree(context, kernel, packages, tools);
  const { layers, packed } = await packLayers(tree, context);
  progress.update({ phase: 'write results' });
  const ingot = await version();
  const head = await front(`Ingot ${ingot} for ${row.name}, Debian ${release}, Linux ${kernel.version}`);
  const base = resolve(options.output ?? `ingot-${row.name}`);
  async function* initramfsPieces() {
    yield head;
    for (const layer of packed) yield await readFile(layer.file);
  }
  const kernelFile = await writeOutput(`${base}.kernel`, () => readEntry(kernel.image), signal);
  const initramfs = await writeOutput(`${base}.initramfs`, initramfsPieces, signal);
  const usage: Usage[] = [
    {
      layer: 'kernel image',
      element: 'kernel',
      source: kernelPackage.name,
      files: 1,
      unpackedBytes: kernelFile.bytes,
      bytes: kernelFile.bytes,
    },
    {
      layer: 'front',
      element: 'base',
      source: 'declared',
      files: 2,
      unpackedBytes: head.byteLength,
      bytes: head.byteLength,
    },
    ...(
      await Promise.all(packed.map((one, index) => layerUsage({ ...one, entries: layers[index]?.entries ?? [] }, tree)))
    ).flat(),
  ];
  const all = [...packages.main, ...packages.firmware];
  const manifest: Manifest = {
    format: 1,
    ingot,
    arch: row.name,
    release,
    elements: plan.elements.map(({ name, summary }) => ({ name, summary })),
    kernel: { version: kernel.version, bytes: kernelFile.bytes, sha256: kernelFile.sha256 },
    initramfs: {
      bytes: initramfs.bytes,
      unpackedBytes: packed.reduce((sum, one) => sum + one.unpackedBytes, head.byteLength),
      sha256: initramfs.sha256,
      layers: [
        { name: 'front', bytes: head.byteLength, unpackedBytes: head.byteLength, sha256: '' },
        ...layerRows(packed),
      ],
    },
    packages: packageRows(all, packageOwners(plan, all), plan.elements, tree),
    node: process.versions.node,
    modules: { included: kernel.modules.map((one) => one.name), absent: kernel.absent },
    firmware: { missing: missingFirmware },
    usage: { total: kernelFile.bytes + initramfs.bytes, rows: usage.toSorted((a, b) => b.bytes - a.bytes) },
  };
  const manifestFile = await writeOutputText(
    `${base}.manifest.json`,
    `${JSON.stringify(manifest, undefined, 2)}\n`,
    signal,
  );
  const sums = [kernelFile, initramfs, manifestFile].map((one) => ({ name: basename(one.path), sha256: one.sha256 }));
  const sha256File = await writeOutputText(`${base}.sha256`, sha256sumLines(sums), signal);
  const cachedLayers = packed.filter((one) => one.cached).map((one) => one.name);
  return { kernel: kernelFile, initramfs, manifestFile, sha256File, manifest, cachedLayers };
}
