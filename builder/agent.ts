import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

import { reasonOf } from '../system/failure.ts';
import type { FileEntry } from './archive/entry.ts';
import { builderFailure } from './failures.ts';
import type { BundledPackage } from './packages.ts';
import { fileEntry } from './tree/tree.ts';

/** The checkout that this file is in. */
export const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The packages that these files are of, each once, by name. */
async function packagesOf(files: readonly string[]): Promise<BundledPackage[]> {
  const folders = new Set(files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []));
  const packages = await Promise.all(
    [...folders].map(async (folder): Promise<BundledPackage> => {
      const text = await readFile(join(CHECKOUT, folder, 'package.json'), 'utf8');
      const { name, version, license } = JSON.parse(text) as { name: string; version: string; license?: unknown };
      return { name, version, ...(typeof license === 'string' && { licence: license }) };
    }),
  );
  const key = (one: BundledPackage) => `${one.name}@${one.version}`;
  return [...new Map(packages.map((one) => [key(one), one])).values()].toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/**
 * The agent and all that it imports as one CommonJS file for the pinned Node.
 * @param source path of its entry, `agent/main.ts`
 * @param path where it goes in the tree
 * @returns the file, and the npm packages that are in it
 */
export async function bundleAgent(
  source: string,
  path: string,
): Promise<{ entry: FileEntry; bundled: BundledPackage[] }> {
  try {
    const result = await build({
      entryPoints: [source],
      absWorkingDir: CHECKOUT,
      outfile: 'agent.cjs',
      bundle: true,
      write: false,
      metafile: true,
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
    return { entry: fileEntry(path, output.contents), bundled: await packagesOf(Object.keys(result.metafile.inputs)) };
  } catch (error) {
    throw builderFailure('AGENT_MISSING', reasonOf(error).split('\n').slice(0, 4).join('\n'), { cause: error });
  }
}
