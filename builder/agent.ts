import { readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

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

type Bundled = { contents: Uint8Array; inputs: string[] };

/** One file as CommonJS for the pinned Node. */
async function bundle(entry: string, define: Record<string, string>, banner: string, plugin: Plugin): Promise<Bundled> {
  const result = await build({
    entryPoints: [entry],
    absWorkingDir: CHECKOUT,
    outfile: 'bundle.cjs',
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
    define,
    banner: { js: banner },
    plugins: [plugin],
    // Else `import()` stays one, and Node finds no names in files that were CommonJS before.
    supported: { 'dynamic-import': false },
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error('esbuild made no file');
  return { contents: output.contents, inputs: Object.keys(result.metafile.inputs) };
}

/** What Fastify asks for and uses only in ways that the agent does not use it: HTTP/2 alone is a twentieth of the agent's start. */
const ABSENT = new Set([
  '@fastify/ajv-compiler',
  '@fastify/fast-json-stringify-compiler',
  'light-my-request',
  'node:http2',
]);

/** Where a package has a file of its own, beside the bundle. */
const fileOf = (name: string): string => `${name.replace('/', '-')}.cjs`;

/**
 * Leaves packages that are imported by `import()` out of the bundle. Node reads through every byte of a file before it runs the first
 * one: what a machine needs later, or never, would cost each of its starts.
 * @param later filled with the names that were found
 */
function leaveForLater(later: Set<string>): Plugin {
  return {
    name: 'leave-for-later',
    setup: (hooks) => {
      hooks.onResolve({ filter: /^(?:node:|@[^/]+\/)?[^./@:][^/:]*$/ }, ({ path, kind, importer }) => {
        if (ABSENT.has(path) && importer.includes('/node_modules/fastify/')) return { path, namespace: 'absent' };
        if (kind !== 'dynamic-import' || isBuiltin(path)) return undefined;
        later.add(path);
        return { path: `./${fileOf(path)}`, external: true };
      });
      hooks.onLoad({ filter: /^/, namespace: 'absent' }, () => ({ contents: 'module.exports = undefined;' }));
    },
  };
}

/**
 * The agent and all that it imports as CommonJS for the pinned Node: one file, and one beside it for each package that is imported by
 * `import()`.
 * @param source path of its entry, `agent/main.ts`
 * @param path where it goes in the tree
 * @returns the files, the agent's first, and the npm packages that are in them
 */
export async function bundleAgent(
  source: string,
  path: string,
): Promise<{ entries: FileEntry[]; bundled: BundledPackage[] }> {
  try {
    const later = new Set<string>();
    const plugin = leaveForLater(later);
    // CommonJS has no import.meta; code that asks where it is gets the bundle's own place.
    const banner = "const __ingotUrl=require('node:url').pathToFileURL(__filename).href;";
    const files = new Map([[path, await bundle(source, { 'import.meta.url': '__ingotUrl' }, banner, plugin)]]);
    // What they import in their turn is found while they are bundled: a set gives those, too.
    for (const name of later)
      files.set(posix.join(posix.dirname(path), fileOf(name)), await bundle(name, {}, '', plugin));
    return {
      // Found in any order.
      entries: [...files]
        .map(([file, { contents }]) => fileEntry(file, contents))
        .toSorted((a, b) => Number(b.path === path) - Number(a.path === path) || (a.path < b.path ? -1 : 1)),
      bundled: await packagesOf([...files.values()].flatMap(({ inputs }) => inputs)),
    };
  } catch (error) {
    throw builderFailure('AGENT_MISSING', reasonOf(error).split('\n').slice(0, 4).join('\n'), { cause: error });
  }
}
