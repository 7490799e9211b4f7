import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

import type { Architecture } from '../arch/table.ts';
import { reasonOf } from '../system/failure.ts';
import { CHECKOUT } from './agent.ts';
import type { FileEntry } from './archive/entry.ts';
import type { ElementPackage } from './element/element.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { hostFailure } from './host/failures.ts';
import { trimIcu } from './node/icu.ts';
import { toolCommand } from './sysroot.ts';
import { fileEntry } from './tree/tree.ts';

/** Raised when the same Node would come out with other bytes than before. */
const FORMAT = 2;

/** Where Node comes from on an architecture that npm has no build for: Debian's own, with its libraries. */
export const DEBIAN_NODE = {
  /** The package whose version is Node's. */
  package: 'nodejs',
  /** Path of the program in the tree. */
  program: 'usr/bin/node',
  packages: [
    {
      name: 'nodejs',
      reason: 'Node runs the agent; npm has no build of it for this architecture',
      only: ['usr/bin/node'],
    },
    {
      name: 'node-undici',
      reason: 'Debian’s Node loads fetch from this file, and aborts at its start without it',
      only: ['usr/share/nodejs/undici/undici-fetch.js'],
    },
    {
      name: 'node-acorn',
      reason: 'Debian’s Node loads its parser from these files, and aborts at its start without them',
      only: ['usr/share/nodejs/acorn/dist/acorn.js', 'usr/share/nodejs/acorn-walk/dist/walk.js'],
    },
  ] satisfies ElementPackage[],
  scripts: { nodejs: 'makes it an alternative for the command js, which nothing here calls' },
  without: {
    'node-corepack': 'installs package managers',
    'node-llhttp': 'Node has its own as a library',
    'node-minimatch': 'not loaded by the files that are kept',
    'node-xtend': 'not loaded by the files that are kept',
  },
  prune: { 'usr/lib/*/libicu{io,test,tu}.so*': 'parts of ICU that Node does not link' },
};

type Locked = { version: string; integrity: string };

/** What the lock file says about an npm package. */
async function lockedPackage(name: string): Promise<Locked> {
  const lock = JSON.parse(await readFile(join(CHECKOUT, 'package-lock.json'), 'utf8')) as {
    packages?: Record<string, Partial<Locked>>;
  };
  const { version, integrity } = lock.packages?.[`node_modules/${name}`] ?? {};
  if (version === undefined || !integrity?.startsWith('sha512-'))
    throw builderFailure('AGENT_MISSING', `package-lock.json has no ${name} with a SHA-512 digest`);
  return { version, integrity };
}

/** What the lock file says about the Node of an architecture that npm has one for; nothing for others. */
export async function lockedNode(
  row: Architecture,
): Promise<{ version?: string; npm?: { name: string; integrity: string } }> {
  if (row.nodePackage === undefined) return {};
  const { version, integrity } = await lockedPackage(row.nodePackage);
  return { version, npm: { name: row.nodePackage, integrity } };
}

/** The installed copy of an npm package; npm leaves out those for other architectures. */
async function installedNode(name: string): Promise<{ binary: string; version: string } | undefined> {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = join(dirname(manifest), 'bin/node');
    await stat(binary);
    return { binary, version: (JSON.parse(await readFile(manifest, 'utf8')) as { version: string }).version };
  } catch {
    return undefined;
  }
}

/** Writes `package/bin/node` of an npm package's archive to a file. */
async function takeProgram(archive: string, target: string): Promise<void> {
  const entries = extract();
  const source = createReadStream(archive);
  const unpacked = source.on('error', (error) => entries.destroy(error)).pipe(createGunzip());
  unpacked.on('error', (error) => entries.destroy(error)).pipe(entries);
  let found = false;
  for await (const entry of entries) {
    if (entry.header.name === 'package/bin/node' && entry.header.type === 'file') {
      await writeFile(target, entry as AsyncIterable<Uint8Array>, { mode: 0o755 });
      found = true;
    } else entry.resume();
  }
  if (!found) throw new Error('the package has no bin/node');
}

/** npm's own settings, proxies and trusted CAs; `host.run` hands over nothing of the caller's environment by itself. */
function npmEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(npm_config_.+|(https?|no)_proxy|NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|SSL_CERT_(FILE|DIR))$/i.test(name),
  );
  return Object.fromEntries(kept) as Record<string, string>;
}

/** npm's own first error line, if it said one. */
function npmReason(error: unknown): string {
  const { stderr = '' } = ((error as Error).cause ?? {}) as { stderr?: string };
  const lines = [...stderr.matchAll(/^npm error (?!code|errno|A complete log)(.+)$/gm)];
  return lines[0]?.[1] ?? reasonOf(error);
}

/** Lets npm fetch a package at the locked version, compares it with the locked digest, and keeps its program in the cache. */
async function fetchedNode(host: BuilderHost, name: string, signal: AbortSignal): Promise<string> {
  const { version, integrity } = await lockedPackage(name);
  const wanted = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');
  const folder = await host.cache.directory('npm', wanted.slice(0, 64), async (temporary) => {
    if (host.offline) throw hostFailure('OFFLINE', `${name}@${version} of npm is not in the cache`);
    const inbox = join(temporary, 'inbox');
    await mkdir(inbox);
    await host
      .run('npm', ['pack', `${name}@${version}`, '--pack-destination', inbox, '--ignore-scripts', '--loglevel=error'], {
        signal,
        cwd: inbox,
        env: npmEnvironment(),
      })
      .catch((error: unknown) => {
        signal.throwIfAborted();
        throw builderFailure('AGENT_MISSING', `npm does not give ${name}@${version}: ${npmReason(error)}`, {
          cause: error,
          hint: 'check that npm is installed and that its registry can be reached from here',
        });
      });
    const [archive] = await readdir(inbox);
    if (archive === undefined) throw builderFailure('AGENT_MISSING', `npm brought no ${name}@${version}`);
    const bytes = await readFile(join(inbox, archive));
    const digest = createHash('sha512').update(bytes).digest('hex');
    if (digest !== wanted)
      throw builderFailure(
        'AGENT_MISSING',
        `${name}@${version} is not what package-lock.json says: SHA-512 ${digest}`,
        {
          hint: 'the registry or a proxy changed the package; use another one',
        },
      );
    await takeProgram(join(inbox, archive), join(temporary, 'node'));
    await rm(inbox, { recursive: true });
  });
  return join(folder, 'node');
}

/**
 * The Node that goes into ramdisks for an architecture: an npm package that the lock file pins, as it is installed here or, for
 * another architecture, as npm fetches it.
 * @param name npm package
 * @throws Failure `AGENT_MISSING`
 */
export async function pinnedNode(
  host: BuilderHost,
  name: string,
  signal: AbortSignal,
): Promise<{ binary: string; version: string }> {
  const installed = await installedNode(name);
  if (installed !== undefined) return installed;
  const { version } = await lockedPackage(name);
  return { binary: await fetchedNode(host, name, signal), version };
}

/**
 * The pinned Node without its symbols and without other languages than English, kept in the cache.
 * @param binary the program with them
 * @param tools root of a tool tree with the architecture's `strip`
 */
export async function strippedNode(
  host: BuilderHost,
  row: Architecture,
  binary: string,
  tools: string,
  path: string,
  signal: AbortSignal,
): Promise<FileEntry> {
  const digest = createHash('sha256')
    .update(await readFile(binary))
    .update(tools.slice(-64))
    .update(`format ${FORMAT}`)
    .digest('hex');
  const stripped = await host.cache.file('node', digest, async (temporary) => {
    await copyFile(binary, temporary);
    const [file, ...args] = toolCommand(tools, `/usr/bin/${row.strip}`);
    await host.run(file, [...args, '--strip-all', temporary], { signal });
    await writeFile(temporary, trimIcu(await readFile(temporary)));
  });
  const bytes = await readFile(stripped);
  return { ...fileEntry(path, bytes, 0o755), content: { kind: 'slice', file: stripped, offset: 0 } };
}
