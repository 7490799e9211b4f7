import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

import { reasonOf } from '../system/failure.ts';
import type { FileEntry } from './archive/entry.ts';
import { builderFailure } from './failures.ts';
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
