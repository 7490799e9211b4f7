import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Architecture } from '../../arch/table.ts';
import type { DibElement } from './find.ts';
import { diskFolders } from './folders.ts';
import type { MergedHooks } from './hooks.ts';
import { packageMaps, serviceMap } from './maps.ts';
import { packageInstalls, type PhasePackages } from './packages.ts';
import { type SourceRepository, sourceRepositories } from './sources.ts';

/** Every name that an architecture has, in lower case: elements use any of them. */
function architectureNames(row: Architecture): string[] {
  return [row.name, ...row.aliases, row.debian, row.dib, row.rpm, row.oci, row.node].map((name) => name.toLowerCase());
}

/** Copies the merged hooks, links and run bits as they are; and the files at the top of elements, the first of a name. */
export async function layOutHooks(elements: readonly DibElement[], hooks: MergedHooks, folder: string): Promise<void> {
  for (const { path, source } of hooks.files) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await cp(source, join(folder, path), { verbatimSymlinks: true });
  }
  for (const element of elements)
    for (const item of await readdir(element.folder, { withFileTypes: true }))
      if (item.isFile()) await cp(join(element.folder, item.name), join(folder, item.name), { force: false });
}

/** What elements ask for that the commands in the tree read. */
export type HookData = {
  packages: ReadonlyMap<string, PhasePackages>;
  packageMaps: ReadonlyMap<string, Readonly<Record<string, string>>>;
  services: Readonly<Record<string, string>>;
  sources: readonly SourceRepository[];
};

/** @param env variables after all of environment.d */
export async function readHookData(
  elements: readonly DibElement[],
  hooks: MergedHooks,
  row: Architecture,
  env: Readonly<Record<string, string>>,
  installType: (name: string) => string,
): Promise<HookData> {
  const distribution = { distro: env['DISTRO_NAME'] ?? '', release: env['DIB_RELEASE'] ?? '' };
  const facts = { architectureNames: architectureNames(row), env, installType };
  return {
    packages: await packageInstalls(elements, hooks, diskFolders, facts),
    packageMaps: await packageMaps(elements, diskFolders, distribution),
    services: await serviceMap(elements, diskFolders, distribution),
    sources: await sourceRepositories(elements, diskFolders, env, installType),
  };
}

const lines = (rows: readonly (readonly string[])[]) => rows.map((row) => `${row.join('\t')}\n`).join('');

/** Writes that data as tables that a shell can read: a row a line, fields apart by tabs. */
export async function writeHookData(data: HookData, folder: string): Promise<void> {
  await mkdir(join(folder, 'packages'), { recursive: true });
  await mkdir(join(folder, 'pkg-map'), { recursive: true });
  for (const [phase, { install, uninstall }] of data.packages) {
    await writeFile(join(folder, `packages/${phase}.install`), lines(install.map((one) => [one.element, one.name])));
    await writeFile(
      join(folder, `packages/${phase}.uninstall`),
      lines(uninstall.map((one) => [one.element, one.name])),
    );
  }
  for (const [element, names] of data.packageMaps)
    await writeFile(join(folder, 'pkg-map', element), lines(Object.entries(names)));
  await writeFile(join(folder, 'services'), lines(Object.entries(data.services)));
  await writeFile(
    join(folder, 'sources'),
    lines(data.sources.map((one) => [one.name, one.type, one.destination, one.location, one.ref])),
  );
}
