import { posix } from 'node:path';

import type { Architecture } from '../arch/table.ts';
import { bundleAgent } from './agent.ts';
import type { Entry } from './archive/entry.ts';
import type { UnpackedPackage } from './packages.ts';
import type { Element } from './element/element.ts';
import { elementFiles } from './elements.ts';
import type { BuilderHost } from './host/door.ts';
import { selectFirmware } from './kernel/firmware.ts';
import { type KernelTree, moduleName } from './kernel/modules.ts';
import { DEBIAN_NODE, pinnedNode, strippedNode } from './node.ts';
import { nodeFolder } from './node-folder.ts';
import { packageOwners, type Plan } from './plan.ts';
import { inittabFile } from './services.ts';
import { groupFile, ownerNumbers, passwdFile, shadowFile } from './tree/accounts.ts';
import { anyMatcher } from './tree/glob.ts';
import { fileEntry, type Part } from './tree/tree.ts';

/** Folders that Debian has only as links, and that a tree must have, too. */
const MERGED_LINKS = { bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib', lib64: 'usr/lib64' };

function symlink(path: string, target: string): Entry {
  return { path, mode: 0o777, uid: 0, gid: 0, type: 'symlink', target };
}

/** Whether a package is not of the base's own distribution. */
const isFromDebian = (plan: Plan, { url }: UnpackedPackage) => plan.fromDebian !== undefined && url.endsWith('.deb');

/** Packages of the base, each cut down to what its element wants of it. Kernels are not among them. */
export function packageParts(plan: Plan, packages: readonly UnpackedPackage[]): Part[] {
  const owners = packageOwners(plan, packages);
  return packages
    .filter((one) => !isFromDebian(plan, one))
    .map((one) => {
      const only = plan.packages.find((wanted) => wanted.name === one.name)?.only;
      const isWanted = only === undefined ? () => true : anyMatcher(only);
      return {
        owner: { element: owners.get(one.name) ?? 'base', source: one.name, layer: 'userland' as const },
        entries: one.entries.filter((entry) => entry.type === 'directory' || isWanted(entry.path)),
        overrides: false,
      };
    });
}

/** What a package of Debian brings in another's place. The two may have a program in /usr/bin and in /usr/sbin. */
function standInEntries(one: UnpackedPackage, only: readonly string[]): Entry[] {
  const isWanted = anyMatcher(only);
  return one.entries.flatMap((entry) => {
    const path = [entry.path, entry.path.replace(/^usr\/bin\//, 'usr/sbin/')].find(isWanted);
    return path === undefined || entry.type === 'directory' ? [] : [{ ...entry, path }];
  });
}

/** Packages of Debian that stand in for what an RPM base does not have. */
export function standInParts(plan: Plan, packages: readonly UnpackedPackage[]): Part[] {
  return (plan.fromDebian?.packages ?? []).flatMap(({ name, element, only }) =>
    packages
      .filter((one) => only !== undefined && one.name === name && isFromDebian(plan, one))
      .map((one) => ({
        owner: { element, source: name, layer: 'userland' as const },
        entries: standInEntries(one, only ?? []),
        overrides: false,
      })),
  );
}

/** Folders, links and texts that an element declares. */
function declaredEntries(element: Element, numbers: ReturnType<typeof ownerNumbers>): Entry[] {
  const links = Object.entries(element.links ?? {}).map(([path, target]) => symlink(path, target));
  const folders = Object.entries(element.folders ?? {}).map(([path, folder]): Entry => {
    const { mode, owner } = typeof folder === 'number' ? { mode: folder } : folder;
    return { path, mode, ...numbers(owner), type: 'directory' };
  });
  const texts = Object.entries(element.texts ?? {}).map(([path, { text, mode, owner }]) => ({
    ...fileEntry(path, text, mode),
    ...numbers(owner),
  }));
  return [...folders, ...links, ...texts];
}

/** What elements bring themselves: links, folders, accounts, services, files. */
export async function elementParts(plan: Plan): Promise<Part[]> {
  const inittab = inittabFile(plan.elements);
  const accounts = [
    fileEntry('etc/passwd', passwdFile(plan.elements)),
    fileEntry('etc/shadow', shadowFile(plan.elements), 0o600),
    fileEntry('etc/group', groupFile(plan.elements)),
    ...(inittab === undefined ? [] : [fileEntry('etc/inittab', inittab)]),
    ...Object.entries(MERGED_LINKS).map(([path, target]) => symlink(path, target)),
  ];
  const base: Part = {
    owner: { element: 'base', source: 'declared', layer: 'elements' },
    entries: accounts,
    overrides: true,
  };
  const numbers = ownerNumbers(plan.elements);
  const parts = await Promise.all(
    plan.elements.map(async (element): Promise<Part[]> => {
      const owner = (source: string) => ({ element: element.name, source, layer: 'elements' as const });
      return [
        { owner: owner('declared'), entries: declaredEntries(element, numbers), overrides: true },
        { owner: owner('files'), entries: await elementFiles(element), overrides: true },
      ];
    }),
  );
  return [base, ...parts.flat()];
}

/** Modules by the group that names them, their indexes, and the firmware that they ask for. */
export function kernelParts(plan: Plan, kernel: KernelTree, firmware: readonly UnpackedPackage[]) {
  const group = new Map(plan.modules.map((one) => [moduleName(one.name), `modules, ${one.group}`]));
  const owner = (source: string) => ({ element: 'kernel', source, layer: 'kernel' as const });
  const byGroup = Map.groupBy(kernel.modules, (one) => group.get(one.name) ?? 'modules that others need');
  const chosen = selectFirmware(kernel.modules, firmware);
  const parts: Part[] = [
    ...[...byGroup].map(([source, modules]) => ({
      owner: owner(source),
      entries: modules.map((one) => one.entry),
      overrides: false,
    })),
    { owner: owner('indexes of modules'), entries: kernel.indexes, overrides: false },
    ...chosen.byPackage.map(([source, entries]) => ({ owner: owner(source), entries, overrides: false })),
  ];
  return { parts, missingFirmware: chosen.missing };
}

/** Node at its place in the tree: the pinned one, or that of the release's own packages, or Debian's in a folder of its own. */
async function nodeEntries(
  host: BuilderHost,
  plan: Plan,
  row: Architecture,
  path: string,
  tools: string,
  packages: readonly UnpackedPackage[],
  signal: AbortSignal,
): Promise<Entry[]> {
  if (row.nodePackage !== undefined) {
    const { binary } = await pinnedNode(host, row.nodePackage, signal);
    return [await strippedNode(host, row, binary, tools, path, signal)];
  }
  if (plan.fromDebian === undefined) return [symlink(path, posix.relative(posix.dirname(path), DEBIAN_NODE.program))];
  return nodeFolder(
    packages.filter((one) => isFromDebian(plan, one)),
    row,
    path,
  );
}

/** Node and the agent's bundle, where an element asks for them. */
export async function agentParts(
  host: BuilderHost,
  plan: Plan,
  row: Architecture,
  source: string,
  tools: string,
  packages: readonly UnpackedPackage[],
  signal: AbortSignal,
): Promise<Part[]> {
  const wanted = plan.elements.flatMap((element) =>
    element.agent ? [{ element: element.name, ...element.agent }] : [],
  );
  const parts = await Promise.all(
    wanted.map(async ({ element, node, bundle }): Promise<Part[]> => {
      const { entries, bundled } = await bundleAgent(source, bundle);
      return [
        {
          owner: { element, source: 'node', layer: 'node' },
          entries: await nodeEntries(host, plan, row, node, tools, packages, signal),
          overrides: false,
        },
        { owner: { element, source: 'agent', layer: 'agent' }, entries, bundled, overrides: false },
      ];
    }),
  );
  return parts.flat();
}
