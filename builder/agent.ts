import { createHash } from 'node:crypto';
import { copyFile, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

import type { Architecture } from '../arch/table.ts';
import { reasonOf } from '../system/failure.ts';
import type { FileEntry } from './archive/entry.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { toolCommand } from './sysroot.ts';
import { fileEntry } from './tree/tree.ts';

/** The checkout that this file is in. */
export const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * The agent and all that it imports as one CommonJS file for the pinned Node.
 * @param source path of its entry, `agent/main.ts`
 * @param path where it goes in the tree
 */
export async function bundleAgent(source: string, path: string): Promise<FileEntry> {
  try {
    const result = await build({
      entryPoints: [source],
      absWorkingDir: CHECKOUT,
      outfile: 'agent.cjs',
      bundle: true,
      write: false,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      minifySyntax: true,
      minifyWhitespace: true,
      legalComments: 'none',
      logLevel: 'silent',
      // CommonJS has no import.meta; code that asks where it is gets the bundle's own place.
      define: { 'import.meta.url': '__ingotUrl' },
      banner: { js: "const __ingotUrl=require('node:url').pathToFileURL(__filename).href;" },
    });
    const [output] = result.outputFiles;
    if (output === undefined) throw new Error('esbuild made no file');
    return fileEntry(path, output.contents);
  } catch (error) {
    throw builderFailure('AGENT_MISSING', reasonOf(error).split('\n').slice(0, 4).join('\n'), { cause: error });
  }
}

/** The Node that goes into ramdisks for an architecture: an npm package that the lock file pins. */
export async function pinnedNode(row: Architecture): Promise<{ binary: string; version: string }> {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${row.nodePackage}/package.json`);
    const binary = join(dirname(manifest), 'bin/node');
    await stat(binary);
    return { binary, version: (JSON.parse(await readFile(manifest, 'utf8')) as { version: string }).version };
  } catch (error) {
    throw builderFailure('AGENT_MISSING', `the npm package ${row.nodePackage} is not installed`, { cause: error });
  }
}

/**
 * The pinned Node without its symbols, kept in the cache.
 * @param tools root of a tool tree with the architecture's `strip`
 */
export async function strippedNode(
  host: BuilderHost,
  row: Architecture,
  tools: string,
  path: string,
  signal: AbortSignal,
): Promise<FileEntry> {
  const { binary } = await pinnedNode(row);
  const digest = createHash('sha256')
    .update(await readFile(binary))
    .update(tools.slice(-64))
    .digest('hex');
  const stripped = await host.cache.file('node', digest, async (temporary) => {
    await copyFile(binary, temporary);
    const [file, ...args] = toolCommand(tools, `/usr/bin/${row.strip}`);
    await host.run(file, [...args, '--strip-all', temporary], { signal });
  });
  const bytes = await readFile(stripped);
  return { ...fileEntry(path, bytes, 0o755), content: { kind: 'slice', file: stripped, offset: 0 } };
}
