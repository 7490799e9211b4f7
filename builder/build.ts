import { join, resolve } from 'node:path';

import { hostArchitecture } from '../arch/table.ts';
import { CHECKOUT } from './agent.ts';
import { checkElfFiles } from './check.ts';
import { checkElements } from './checks.ts';
import { checkUnpacks } from './compression.ts';
import type { BuildOptions, Context } from './context.ts';
import { openContext } from './open.ts';
import { findMirror, type Mirror } from './debian/mirror.ts';
import type { DebianPackage } from './debian/resolve.ts';
import { builderFailure } from './failures.ts';
import { packLayers } from './initramfs.ts';
import { KERNEL_IMAGE_TOOL_PACKAGES, servedKernel } from './kernel/image.ts';
import { withJoinedFiles } from './joined.ts';
import { isKernelPackage, KERNEL_TOOL_PACKAGES, type KernelTree, selectModules } from './kernel/modules.ts';
import { lockedTools } from './lock.ts';
import { leaveOutUnneeded } from './needed.ts';
import { trimIcuLibraries } from './node/icu.ts';
import { agentParts, elementParts, kernelParts, packageParts, standInParts } from './parts.ts';
import { type BuildResult, writeResults } from './results.ts';
import type { Selection } from './packages.ts';
import { fetchSelection, selectPackages } from './select.ts';
import { checkScripts } from './scripts/coverage.ts';
import { layOutTools, resolveTools } from './sysroot.ts';
import { entryBytes } from './tree/bytes.ts';
import { HOOKS, hookTree, withHookTree, withoutHookTree } from './hooks.ts';
import { anyMatcher } from './tree/glob.ts';
import { mergeParts } from './tree/tree.ts';

type Packages = Awaited<ReturnType<typeof fetchSelection>>;

async function mergeTree(context: Context, kernel: KernelTree, packages: Packages, tools: string) {
  const { options, row, plan } = context;
  const fromKernel = kernelParts(plan, kernel, packages.firmware);
  options.progress.update({ phase: 'bundle the agent' });
  const source = resolve(options.agentEntry ?? join(CHECKOUT, 'agent/main.ts'));
  const hooks = await hookTree(context);
  const parts = [
    ...withoutHookTree(
      packageParts(
        plan,
        packages.main.filter((one) => !isKernelPackage(one)),
      ),
      hooks,
    ),
    ...standInParts(plan, packages.main),
    ...(hooks?.parts ?? []),
    ...fromKernel.parts,
    ...(await agentParts(options.host, plan, row, source, tools, packages.main, options.signal)),
    ...(await withHookTree(await elementParts(plan), hooks)),
  ];
  const tree = mergeParts(await withJoinedFiles(plan.elements, parts), anyMatcher(plan.prune));
  await leaveOutUnneeded(tree, plan.ifNeeded);
  await trimIcuLibraries(options.host, tree);
  await checkElfFiles(tree, row);
  checkElements(plan.elements, tree);
  // What comes from the hooks' tree has had its scripts run there.
  const present = new Set(
    [...tree.values()]
      .filter(({ entry, owner }) => entry.type !== 'directory' && owner.element !== HOOKS)
      .map(({ owner }) => owner.source),
  );
  await checkScripts(
    plan.elements,
    [...packages.main, ...packages.firmware].filter((one) => present.has(one.name) || isKernelPackage(one)),
  );
  const bundled = parts.flatMap((part) => part.bundled ?? []);
  return { tree, bundled, missingFirmware: fromKernel.missingFirmware, hooks: hooks?.record };
}

/** Refuses a kernel that cannot unpack what it is going to get. */
async function checkKernel({ options, compression }: Context, kernel: KernelTree): Promise<void> {
  const configuration = kernel.configuration && Buffer.from(await entryBytes(kernel.configuration)).toString('utf8');
  if (!checkUnpacks(compression, configuration, kernel.version))
    options.progress.log(
      `Linux ${kernel.version} comes without its configuration: nothing says whether it unpacks ${compression.name}`,
    );
}

async function takeKernel(context: Context, packages: Packages, tools: string) {
  const { options, row, plan } = context;
  const { host, progress, signal } = options;
  if (packages.kernel.length === 0) throw builderFailure('CANNOT_PACK', `${plan.kernelPackage} brought no kernel`);
  progress.update({ phase: 'select kernel modules' });
  const names = plan.modules.map((one) => one.name);
  const kernel = await selectModules(host, packages.kernel, names, tools, signal);
  await checkKernel(context, kernel);
  const served = await servedKernel(host, kernel.image, row, tools, signal);
  if (kernel.absent.length > 0) progress.log(`Linux ${kernel.version} has no module ${kernel.absent.join(', ')}`);
  return { ...kernel, served };
}

/** The tools that a build runs: those that are locked, or what the tools' own release has now. */
async function chooseTools(
  { options, row, compression, lock, rpm }: Context,
  mirror: Mirror,
): Promise<DebianPackage[]> {
  const { host, progress, signal } = options;
  const locked = lock && lockedTools(lock, hostArchitecture()?.debian ?? '', mirror);
  if (locked !== undefined) return locked;
  if (lock !== undefined)
    progress.log('the locked tools are for machines of another architecture: newer ones are used');
  return resolveTools({
    host,
    packages: [
      ...KERNEL_TOOL_PACKAGES,
      ...KERNEL_IMAGE_TOOL_PACKAGES,
      ...compression.packages,
      ...(row.nodePackage === undefined ? [] : [row.binutilsPackage]),
    ],
    ...(options.mirror && rpm === undefined && { mirror: options.mirror }),
    progress,
    signal,
  });
}

/** Everything that goes into the initramfs and the kernel beside it: fetched, unpacked, chosen, merged and checked. */
export async function assemble(context: Context, selection: Selection<DebianPackage>) {
  const { options, plan } = context;
  const { host, progress, signal } = options;
  // --mirror of an RPM base has no Debian packages, and tools are Debian's.
  const toolMirror = await findMirror(context.rpm === undefined ? (options.mirror ?? []) : []);
  const toolPackages = await chooseTools(context, toolMirror);
  const tools = await layOutTools({ host, progress, signal }, toolPackages);
  const packages = await fetchSelection(context, selection);
  const kernel = await takeKernel(context, packages, tools);
  const merged = await mergeTree(context, kernel, packages, tools);
  return {
    ...merged,
    tools,
    toolPackages,
    toolMirror,
    kernel,
    packages: [...packages.main, ...packages.firmware],
    firmwarePackages: packages.firmware.map((one) => one.name),
    kernelPackage: packages.kernel.find((one) => one.entries.includes(kernel.image))?.name ?? plan.kernelPackage,
  };
}

/**
 * Builds a ramdisk: NAME.kernel, NAME.initramfs, NAME.manifest.json, NAME.cdx.json and NAME.sha256. Needs neither root nor the host's release;
 * the same packages and sources give the same bytes.
 * @throws Failure of `builder/failures.ts` or `builder/host/failures.ts`; a result that existed before is then untouched
 */
export async function buildRamdisk(options: BuildOptions): Promise<BuildResult> {
  const context = await openContext(options);
  const assembled = await assemble(context, await selectPackages(context));
  const packing = { compression: context.compression, tools: assembled.tools };
  const layers = await packLayers(options.host, assembled.tree, packing, options.progress, options.signal);
  return writeResults(context, { ...assembled, layers });
}
