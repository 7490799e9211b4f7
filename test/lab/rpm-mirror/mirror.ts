/**
 * A mirror of RPM packages with the form of openEuler's and the content of Debian's.
 *
 * It is a fake of the content, not of the form: the files are those of Debian packages, moved to where openEuler has them, under
 * openEuler's package names, in openEuler's folders. Packages are built by rpmbuild and signed by rpmsign, repodata is made by
 * createrepo_c, and who needs whom is decided by the libraries that the files really link. The key is made when the mirror is, and its
 * secret half is gone when that is done.
 */
import { createHash } from 'node:crypto';
import { chmod, cp, link, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Architecture } from '../../../arch/table.ts';
import type { Entry } from '../../../builder/archive/entry.ts';
import { fetchPackages } from '../../../builder/debian/fetch.ts';
import { findMirror } from '../../../builder/debian/mirror.ts';
import { resolvePackages } from '../../../builder/debian/resolve.ts';
import type { BuilderHost } from '../../../builder/host/door.ts';
import { toolCommand, toolSysroot } from '../../../builder/sysroot.ts';
import { readEntry } from '../../../builder/tree/bytes.ts';
import type { Progress } from '../../../cli/progress.ts';
import { RECIPES, type Recipe } from './recipe.ts';
import { type SpecPackage, specText } from './spec.ts';
import { libraryNames, recipeEntries } from './tree.ts';

/** Raised when the same packages would make another mirror. */
const FORMAT = 3;

const KEY_NAME = 'mirror of a test';
const RELEASE_FOLDER = 'openEuler-22.03-LTS';
const TOOLS = ['rpm', 'createrepo-c', 'gnupg', 'gpg-agent'];

export type MirrorOptions = { host: BuilderHost; row: Architecture; progress: Progress; signal: AbortSignal };

/** Where a mirror is, and the public half of the key that signed it. */
export type RpmMirror = { folder: string; key: string };

async function writeEntry(entry: Entry, root: string): Promise<void> {
  const path = join(root, entry.path);
  await mkdir(dirname(path), { recursive: true });
  if (entry.type === 'symlink') await symlink(entry.target, path);
  else if (entry.type === 'hardlink') await link(join(root, entry.target), path);
  else if (entry.type === 'file') await writeFile(path, readEntry(entry), { mode: 0o644 });
}

/** One tree with all files, as rpmbuild wants it. */
async function layOut(packages: readonly SpecPackage[], root: string): Promise<void> {
  const all = packages.flatMap((one) => one.entries);
  for (const entry of all.filter((one) => one.type !== 'hardlink')) await writeEntry(entry, root);
  for (const entry of all.filter((one) => one.type === 'hardlink')) await writeEntry(entry, root);
}

type Unpacked = Awaited<ReturnType<typeof fetchPackages>>;

/** Debian's packages that a recipe takes its files from; the kernel is all that its package depends on. */
function sources(recipe: Recipe, packages: Unpacked): Unpacked {
  if (!recipe.from.includes('{kernel}')) return packages.filter((one) => recipe.from.includes(one.name));
  return packages.filter((one) => /^linux-(image|binary|modules|base)-\d/.test(one.name));
}

async function specPackages(recipes: readonly Recipe[], packages: Unpacked, row: Architecture): Promise<SpecPackage[]> {
  const made = await Promise.all(
    recipes.map(async (recipe) => {
      const from = sources(recipe, packages);
      const entries = await recipeEntries(recipe, from, row);
      return { recipe, from, entries, libraries: await libraryNames(entries) };
    }),
  );
  const brought = new Set(made.flatMap((one) => one.libraries.brings));
  const missing = made.flatMap((one) =>
    one.libraries.needs.filter((name) => !brought.has(name)).map((name) => `${one.recipe.name}: ${name}`),
  );
  if (missing.length > 0) throw new Error(`cannot make the mirror: nothing brings ${missing.join(', ')}`);
  return made.map(({ recipe, from, entries, libraries }) => ({
    recipe,
    version: from[0]?.version ?? '1-1',
    entries,
    requires: libraries.needs,
    provides: libraries.brings,
  }));
}

/** A program of the tool tree as a file that other programs can start. */
async function wrapper(tools: string, program: string, path: string): Promise<string> {
  const words = toolCommand(tools, program).map((word) => `'${word}'`);
  await writeFile(path, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

type Workshop = { host: BuilderHost; tools: string; folder: string; signal: AbortSignal };

function runTool(
  { host, tools, signal }: Workshop,
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
) {
  const [file, ...head] = toolCommand(tools, program);
  return host.run(file, [...head, ...args], {
    signal,
    env: { RPM_CONFIGDIR: join(tools, 'usr/lib/rpm'), MAGIC: join(tools, 'usr/lib/file/magic.mgc'), ...env },
  });
}

/** Builds all packages at once. @returns the folder with them */
async function buildPackages(workshop: Workshop, packages: readonly SpecPackage[], row: Architecture): Promise<string> {
  const { folder } = workshop;
  const tree = join(folder, 'tree');
  const rpms = join(folder, 'rpms');
  const temporary = join(folder, 'tmp');
  await mkdir(tree);
  await mkdir(temporary);
  await layOut(packages, tree);
  const spec = join(folder, 'mirror.spec');
  await writeFile(spec, specText(packages, tree));
  const macros = [
    ['_topdir', join(folder, 'build')],
    ['_rpmdir', rpms],
    ['_tmppath', temporary],
    ['_binary_payload', 'w3.zstdio'],
    ['_rpmfilename', '%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm'],
    ['_buildhost', 'localhost'],
  ];
  const defines = macros.flatMap(([name = '', value = '']) => ['--define', `${name} ${value}`]);
  await runTool(workshop, '/usr/bin/rpmbuild', ['-bb', '--target', `${row.rpm}-openEuler-linux`, ...defines, spec]);
  return rpms;
}

/** A key of this mirror's own, whose secret half lives in a folder that is removed when the mirror is made. */
type Signer = { home: string; gpg: string; quiet: string[] };

async function makeKey(workshop: Workshop, publicKey: string): Promise<Signer> {
  const { folder, tools, host } = workshop;
  const home = join(folder, 'gnupg');
  await mkdir(home, { mode: 0o700 });
  const gpg = await wrapper(tools, '/usr/bin/gpg', join(folder, 'gpg'));
  const agent = await wrapper(tools, '/usr/bin/gpg-agent', join(folder, 'gpg-agent'));
  const quiet = ['--homedir', home, '--batch', '--no-tty', '--agent-program', agent];
  await host.run(gpg, [...quiet, '--passphrase', '', '--quick-gen-key', KEY_NAME, 'rsa3072', 'sign', 'never']);
  const { stdout } = await host.run(gpg, [...quiet, '--armor', '--export']);
  await writeFile(publicKey, stdout);
  return { home, gpg, quiet };
}

async function signPackages(workshop: Workshop, { home, gpg, quiet }: Signer, rpms: string): Promise<void> {
  const files = (await readdir(rpms)).map((name) => join(rpms, name));
  const macros = [`__gpg ${gpg}`, `_gpg_name ${KEY_NAME}`, `_gpg_sign_cmd_extra_args ${quiet.join(' ')}`];
  const defines = macros.flatMap((one) => ['--define', one]);
  await runTool(workshop, '/usr/bin/rpmsign', ['--addsign', ...defines, ...files], { GNUPGHOME: home });
}

function makeLists(workshop: Workshop, repository: string) {
  return runTool(workshop, '/usr/bin/createrepo_c', ['--general-compress-type=gz', '--no-database', repository]);
}

/** What is wrong with a spoiled mirror: packages without signature, or changed after they were signed. */
export type Spoil = 'unsigned' | 'changed';

/**
 * A copy of a mirror in which one package is spoiled, and whose lists are right about it: the digests fit, only the signature does
 * not.
 * @param target a folder that is made
 * @param name of the package
 */
export async function spoilMirror(
  { host, row, progress, signal }: MirrorOptions,
  mirror: RpmMirror,
  target: string,
  name: string,
  spoil: Spoil,
): Promise<void> {
  const tools = await toolSysroot({ host, packages: TOOLS, progress, signal });
  const workshop = { host, tools, folder: target, signal };
  await cp(mirror.folder, target, { recursive: true });
  const repository = join(target, RELEASE_FOLDER, 'OS', row.rpm);
  const [file = ''] = (await readdir(join(repository, 'Packages'))).filter((one) => one.startsWith(`${name}-`));
  const path = join(repository, 'Packages', file);
  if (spoil === 'unsigned') await runTool(workshop, '/usr/bin/rpmsign', ['--delsign', path]);
  else {
    const bytes = await readFile(path);
    bytes[bytes.length - 100] = (bytes.at(-100) ?? 0) ^ 1;
    await writeFile(path, bytes);
  }
  await rm(join(repository, 'repodata'), { recursive: true });
  await makeLists(workshop, repository);
}

/**
 * Makes the mirror, or finds the one that was made of the same packages.
 * @param only names of the packages that it has; all of `recipe.ts` unless said
 */
export async function makeRpmMirror(
  { host, row, progress, signal }: MirrorOptions,
  only: readonly string[] = RECIPES.map((one) => one.name),
): Promise<RpmMirror> {
  const recipes = RECIPES.filter((one) => only.includes(one.name));
  const names = recipes.flatMap((one) => one.from).map((name) => (name === '{kernel}' ? row.kernelPackage : name));
  const question = { mirror: await findMirror([]), release: 'forky', architecture: row.debian };
  const debs = await resolvePackages(host, { ...question, packages: names }, signal);
  const tools = await toolSysroot({ host, packages: TOOLS, progress, signal });
  const digest = createHash('sha256')
    .update(JSON.stringify([FORMAT, recipes, debs.map((one) => one.sha256)]))
    .digest('hex');
  const folder = await host.cache.directory('rpm-mirror', digest, async (made) => {
    const packages = await specPackages(recipes, await fetchPackages(host, debs, progress, signal), row);
    progress.update({ phase: 'build RPM packages' });
    const workshop = { host, tools, folder: join(made, 'work'), signal };
    await mkdir(workshop.folder);
    const rpms = await buildPackages(workshop, packages, row);
    const signer = await makeKey(workshop, join(made, 'key.asc'));
    await signPackages(workshop, signer, rpms);
    const repository = join(made, RELEASE_FOLDER, 'OS', row.rpm);
    await mkdir(repository, { recursive: true });
    await cp(rpms, join(repository, 'Packages'), { recursive: true });
    await makeLists(workshop, repository);
    await host.run(signer.gpg, [...signer.quiet, '--armor', '--detach-sign', join(repository, 'repodata/repomd.xml')]);
    await rm(workshop.folder, { recursive: true });
  });
  return { folder, key: join(folder, 'key.asc') };
}
