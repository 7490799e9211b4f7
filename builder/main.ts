import { basename, relative } from 'node:path';

import { optionsHelp, type OptionTable, parseOptions, usageFailure, type Values } from '../cli/options.ts';
import { type Program, runProgram } from '../cli/program.ts';
import { createProgress, formatBytes, formatSeconds, progressMode } from '../cli/progress.ts';
import { ARCHITECTURE_NAMES } from '../arch/table.ts';
import { buildRamdisk, type BuildResult } from './build.ts';
import { RELEASE_NAMES } from './debian/releases.ts';
import { defaultCacheRoot } from './host/cache.ts';
import { openHost } from './host/system.ts';
import { formatUsage } from './report.ts';

const OPTIONS = {
  arch: {
    type: 'string',
    placeholder: 'NAME',
    help: `architecture of the ramdisk: ${ARCHITECTURE_NAMES.join(', ')}, or all (default: x86_64)`,
  },
  release: {
    type: 'string',
    short: 'r',
    placeholder: 'NAME',
    help: `release it is made of: ${RELEASE_NAMES.join(', ')} (default: the first that has the architecture)`,
  },
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'NAME',
    help: 'where the results go, without their endings (default: ingot-ARCH; with --arch all, NAME-ARCH)',
  },
  mirror: {
    type: 'string',
    multiple: true,
    placeholder: 'URL',
    help: 'Debian mirror (default: that of this machine’s APT); a second one that ends in -security for security updates',
  },
  cache: {
    type: 'string',
    placeholder: 'DIR',
    help: `folder for downloads and finished layers (default: ${defaultCacheRoot({ HOME: '~' })})`,
  },
  agent: { type: 'string', placeholder: 'FILE', help: 'source of another agent, for trying things out' },
  json: { type: 'boolean', help: 'progress and result as one JSON object a line' },
  verbose: { type: 'boolean', short: 'v', help: 'also list every package, file group and module that went in' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies OptionTable;

const HELP = `build-ramdisk: a kernel and an initramfs with Ingot's agent, from signed Debian packages

  build-ramdisk [--arch x86_64|aarch64|loongarch64|all] [--release trixie] [-o NAME]

Makes NAME.kernel, NAME.initramfs, NAME.manifest.json (every package, and where the bytes go) and NAME.sha256.
Needs no root. Packages and finished layers are kept, so that a second build takes seconds.

${optionsHelp(OPTIONS)}

Exit codes: 0 done, 1 failed (the message says why), 2 wrong command line, 130 interrupted.
`;

function resultLines(result: BuildResult, seconds: number, verbose: boolean): string {
  const { manifest, kernel, initramfs, manifestFile, sha256File, cachedLayers } = result;
  const state = (file: { unchanged: boolean }) => (file.unchanged ? ' (unchanged)' : '');
  const place = (path: string) => {
    const short = relative('.', path);
    return short.startsWith('..') ? path : short;
  };
  const files = [kernel, initramfs, manifestFile, sha256File].map(
    (file) => `  ${formatBytes(file.bytes).padStart(9)}  ${place(file.path)}${state(file)}`,
  );
  const layers = manifest.initramfs.layers.map(
    (layer) =>
      `  ${formatBytes(layer.bytes).padStart(9)}  ${layer.name}, ${formatBytes(layer.unpackedBytes)} unpacked${cachedLayers.includes(layer.name) ? ' (cached)' : ''}`,
  );
  return [
    `Linux ${manifest.kernel.version}, Debian ${manifest.release}, ${manifest.arch}: ${formatBytes(manifest.usage.total)} in ${formatSeconds(seconds)}`,
    ...files,
    'layers of the initramfs',
    ...layers,
    'where the bytes go',
    formatUsage(manifest.usage, verbose ? Infinity : 14),
    ...(verbose ? [`modules: ${manifest.modules.included.join(' ')}`] : []),
    '',
  ].join('\n');
}

function jsonResult(result: BuildResult, seconds: number): string {
  const { kernel, initramfs, manifestFile, sha256File, cachedLayers, manifest } = result;
  const files = { kernel, initramfs, manifest: manifestFile, sha256: sha256File };
  return `${JSON.stringify({ event: 'result', ...files, cachedLayers, seconds, kernelVersion: manifest.kernel.version, totalBytes: manifest.usage.total })}\n`;
}

type Wanted = { arch: string | undefined; output: string | undefined };

/** What to build: one, or one after the other with `--arch all`; several cannot have one name, so each adds its own to it. */
function wantedBuilds({ arch, output }: Values<typeof OPTIONS>): Wanted[] {
  if (arch?.toLowerCase() !== 'all') return [{ arch, output }];
  return ARCHITECTURE_NAMES.map((name) => ({
    arch: name,
    output: output === undefined ? undefined : `${output}-${name}`,
  }));
}

async function build(program: Program, values: Values<typeof OPTIONS>, wanted: Wanted): Promise<void> {
  const { stdout, stderr, signal } = program;
  const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
  const start = performance.now();
  try {
    const result = await buildRamdisk({
      host: await openHost({ cache: values.cache }),
      arch: wanted.arch,
      release: values.release,
      output: wanted.output,
      mirror: values.mirror,
      agentEntry: values.agent,
      progress,
      signal,
    });
    progress.finish();
    const seconds = (performance.now() - start) / 1000;
    stdout.write(values.json ? jsonResult(result, seconds) : resultLines(result, seconds, values.verbose));
  } finally {
    progress.finish();
  }
}

async function main(program: Program): Promise<number> {
  const { values, positionals } = parseOptions(OPTIONS, program.argv);
  if (values.help) {
    program.stdout.write(HELP);
    return 0;
  }
  const [surplus] = positionals;
  if (surplus !== undefined) throw usageFailure(`cannot use ${surplus}: only options are expected`, 'see --help');
  if ((values.output !== undefined && /^$|\/$/.test(values.output)) || basename(values.output ?? 'x') === '.')
    throw usageFailure(
      `cannot use --output ${values.output ?? ''}: it is the start of a file name`,
      'such as -o out/ingot',
    );
  for (const wanted of wantedBuilds(values)) await build(program, values, wanted);
  return 0;
}

await runProgram(main);
