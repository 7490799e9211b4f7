import { assemble } from './build.ts';
import type { Context } from './context.ts';
import { notDownloaded } from './host/download.ts';
import { hooksAreCached } from './hooks.ts';
import { layersOf } from './initramfs.ts';
import { packedBefore } from './layers.ts';
import { selectPackages } from './select.ts';

/** One step of a build, as it would go now. */
export type PlannedStep = {
  step: string;
  /** What it works on, a line each. */
  what: string[];
  /** What the cache saves of it; undefined where nothing of it is ever kept, or where it is not known yet. */
  cached?: string;
};

/**
 * What a build would do, in its order, and what of it the cache has. Package lists are brought up to date, as a build does it;
 * no package is fetched and nothing is written outside of the cache. Whether layers are packed already is told only when all
 * packages are there, because a layer is named by its content.
 */
export async function plannedSteps(context: Context): Promise<{ steps: PlannedStep[]; downloadBytes: number }> {
  const { options, row, release, mirror, plan } = context;
  const { host } = options;
  const selection = await selectPackages(context);
  const packages = [...selection.main, ...selection.firmware];
  const missing = await notDownloaded(host, packages);
  const downloadBytes = missing.reduce((sum, one) => sum + one.sizeBytes, 0);
  const steps: PlannedStep[] = [
    { step: 'elements', what: plan.elements.map((one) => `${one.name}: ${one.summary}`) },
    {
      step: 'resolve packages',
      what: [
        `${plan.packages.length} named, ${packages.length} with what they need, from ${release.name} at ${mirror.main}`,
      ],
    },
    {
      step: 'fetch packages',
      what: packages.map((one) => `${one.name} ${one.version} ${one.sha256.slice(0, 12)}`),
      cached: `${packages.length - missing.length} of ${packages.length}`,
    },
    { step: 'unpack packages', what: [`without running their scripts; ${plan.prune.length} globs are left out`] },
    {
      step: 'select kernel modules',
      what: [`${plan.modules.length} by name, what they depend on, and the firmware that they ask for`],
    },
    {
      step: 'bundle the agent',
      what: [`Node for ${row.name} and ${options.agentEntry ?? 'agent/main.ts'} in one file`],
    },
    { step: 'check', what: ['every ELF file: machine, word size, ABI, loader, libraries'] },
  ];
  const areCached = await hooksAreCached(context);
  if (context.foreign !== undefined)
    steps.splice(-1, 0, {
      step: 'run hooks',
      what: [...context.foreign.hooks.scripts].flatMap(([phase, scripts]) =>
        scripts.map((one) => `${phase}: ${one.path.slice(one.path.lastIndexOf('/') + 1)} of ${one.element}`),
      ),
      cached: areCached ? 'all' : 'none',
    });
  if (missing.length > 0 || areCached === false)
    return { steps: [...steps, { step: 'pack', what: ['the layers of the initramfs'] }, writing], downloadBytes };
  const { tree, tools } = await assemble(context, selection);
  const packing = { compression: context.compression, tools };
  const layers = layersOf(tree);
  const before = await Promise.all(layers.map((layer) => packedBefore(host, layer, packing)));
  return {
    steps: [
      ...steps,
      {
        step: 'pack',
        what: layers.map(
          (layer, index) => `${layer.name}, ${layer.entries.length} entries${before[index] ? ' (cached)' : ''}`,
        ),
        cached: `${before.filter(Boolean).length} of ${layers.length}`,
      },
      writing,
    ],
    downloadBytes,
  };
}

const writing: PlannedStep = { step: 'write results', what: ['kernel, initramfs, manifest and checksums'] };
