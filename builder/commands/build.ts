import { relative } from 'node:path';

import { defineCommand } from '../../cli/command.ts';
import type { Program } from '../../cli/program.ts';
import { createProgress, formatBytes, formatSeconds, progressMode } from '../../cli/progress.ts';
import { buildRamdisk } from '../build.ts';
import { openHost } from '../host/system.ts';
import { formatUsage } from '../report.ts';
import type { BuildResult } from '../results.ts';
import { BUILD_OPTIONS, type BuildRequest, buildRequests, type BuildValues } from './options.ts';

function resultLines(result: BuildResult, seconds: number, verbose: boolean): string {
  const { manifest, kernel, initramfs, manifestFile, sbomFile, sha256File, media, cachedLayers } = result;
  const state = (file: { unchanged: boolean }) => (file.unchanged ? ' (unchanged)' : '');
  const place = (path: string) => {
    const short = relative('.', path);
    return short.startsWith('..') ? path : short;
  };
  const files = [kernel, initramfs, ...media.map((one) => one.file), manifestFile, sbomFile, sha256File].map(
    (file) => `  ${formatBytes(file.bytes).padStart(9)}  ${place(file.path)}${state(file)}`,
  );
  const layers = manifest.initramfs.layers.map(
    (layer) =>
      `  ${formatBytes(layer.bytes).padStart(9)}  ${layer.name}, ${formatBytes(layer.unpackedBytes)} unpacked${cachedLayers.includes(layer.name) ? ' (cached)' : ''}`,
  );
  return [
    `Linux ${manifest.kernel.version}, ${manifest.base}, ${manifest.arch}: ${formatBytes(manifest.usage.total)} in ${formatSeconds(seconds)}`,
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
  const { kernel, initramfs, manifestFile, sbomFile, sha256File, media, cachedLayers, manifest } = result;
  const extra = Object.fromEntries(media.map(({ format, file }) => [format, file]));
  const files = { kernel, initramfs, ...extra, manifest: manifestFile, sbom: sbomFile, sha256: sha256File };
  return `${JSON.stringify({ event: 'result', ...files, cachedLayers, seconds, kernelVersion: manifest.kernel.version, totalBytes: manifest.usage.total })}\n`;
}

async function build(program: Program, values: BuildValues, request: BuildRequest): Promise<void> {
  const { stdout, stderr, signal } = program;
  const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
  const start = performance.now();
  try {
    const result = await buildRamdisk({
      ...request,
      host: await openHost({ cache: values.cache, offline: values.offline }),
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

export const buildCommand = defineCommand({
  summary: 'Makes a kernel and an initramfs; what is done when no other command is named.',
  usage: '[options] [DISTRIBUTION] [ELEMENT ...]',
  details: [
    'Makes NAME.kernel, NAME.initramfs, NAME.manifest.json (every package, and where the',
    'bytes go; also a lock), NAME.cdx.json (CycloneDX) and NAME.sha256. Needs no root.',
    'Packages and finished layers are kept, so that a second build takes seconds.',
  ],
  options: BUILD_OPTIONS,
  run: async (program, values, positionals) => {
    for (const request of buildRequests(values, positionals)) await build(program, values, request);
    return 0;
  },
});
