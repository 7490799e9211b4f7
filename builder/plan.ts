import type { Architecture } from '../arch/table.ts';
import { type DebianPackage, packageIndex } from './debian/resolve.ts';
import type { Element, ElementPackage } from './element/element.ts';
import type { Family } from './bases.ts';
import { rpmElement } from './element/family.ts';
import { DEBIAN_NODE } from './node.ts';
import { NODE_FOLDER } from './node-folder.ts';

/** What the elements together ask for. */
export type Plan = {
  elements: readonly Element[];
  /** Packages to resolve, with the element that names each first. */
  packages: readonly (ElementPackage & { element: string })[];
  firmware: readonly (ElementPackage & { element: string })[];
  /** Packages to leave out although something depends on them. */
  without: readonly string[];
  prune: readonly string[];
  /** Globs of libraries that stay only where something needs them. */
  ifNeeded: readonly string[];
  kernelPackage: string;
  /** Packages of Debian that go in beside those of a base that is not. */
  fromDebian:
    | {
        packages: readonly {
          name: string;
          element: string;
          /** Globs of what it brings in another's place. */ only?: string[];
        }[];
        release: string;
        without: readonly string[];
      }
    | undefined;
  modules: readonly { name: string; element: string; group: string }[];
};

function named(elements: readonly Element[], kind: 'packages' | 'firmware', row: Architecture): Plan['packages'] {
  const all = elements.flatMap((element) =>
    (element[kind] ?? []).map((one) => ({
      ...one,
      name: one.name === '{kernel}' ? row.kernelPackage : one.name,
      element: element.name,
    })),
  );
  return [...Map.groupBy(all, (one) => one.name).values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    // Named twice: everything that any of them wants.
    const only = same.every((one) => one.only) ? { only: same.flatMap((one) => one.only ?? []) } : {};
    const { only: _, ...rest } = first;
    return [{ ...rest, ...only }];
  });
}

/** An element with the agent brings Node's packages where npm has no Node for the architecture. */
function withNode(element: Element, row: Architecture): Element {
  if (element.agent === undefined || row.nodePackage !== undefined) return element;
  return {
    ...element,
    packages: [...(element.packages ?? []), ...DEBIAN_NODE.packages],
    without: { ...element.without, ...DEBIAN_NODE.without },
    prune: { ...element.prune, ...DEBIAN_NODE.prune },
    scripts: { ...element.scripts, ...DEBIAN_NODE.scripts },
  };
}

/** What comes from Debian where the base is not: Node's packages, and those that stand in for what the base does not have. */
function debianPackages(
  elements: readonly Element[],
  packages: Plan['packages'],
  row: Architecture,
  standIns: Readonly<Record<string, string>>,
): Plan['fromDebian'] {
  const agent = row.nodePackage === undefined ? elements.find((one) => one.agent !== undefined)?.name : undefined;
  const node = agent === undefined ? [] : NODE_FOLDER.packages.map((name) => ({ name, element: agent }));
  const others = packages.flatMap(({ name, element, only = [] }) => {
    const standIn = standIns[name];
    return standIn === undefined ? [] : [{ name: standIn, element, only }];
  });
  if (node.length + others.length === 0) return undefined;
  const without = [...Object.keys(DEBIAN_NODE.without), ...elements.flatMap((one) => Object.keys(one.without ?? {}))];
  return { packages: [...node, ...others], release: NODE_FOLDER.release, without };
}

/**
 * Puts the wishes of elements together. Pure: the same elements give the same plan.
 * @param standIns of an RPM base: packages that it does not have, with those of Debian that come in their place
 */
export function makePlan(
  wanted: readonly Element[],
  row: Architecture,
  family: Family = 'debian',
  standIns: Readonly<Record<string, string>> = {},
): Plan {
  const isDebian = family === 'debian';
  const elements = wanted.map((one) => (isDebian ? withNode(one, row) : rpmElement(one)));
  const all = named(elements, 'packages', row);
  const packages = all.filter((one) => standIns[one.name] === undefined);
  return {
    elements,
    packages,
    firmware: named(elements, 'firmware', row),
    without: [...new Set(elements.flatMap((one) => Object.keys(one.without ?? {})))]
      // What one element does without, another may name.
      .filter((name) => !packages.some((one) => one.name === name))
      .toSorted((a, b) => (a < b ? -1 : 1)),
    prune: elements.flatMap((one) => Object.keys(one.prune ?? {})),
    ifNeeded: elements.flatMap((one) => Object.keys(one.ifNeeded ?? {})),
    kernelPackage: isDebian ? row.kernelPackage : 'kernel',
    fromDebian: isDebian ? undefined : debianPackages(wanted, all, row, standIns),
    modules: elements.flatMap((one) =>
      Object.entries(one.modules ?? {}).flatMap(([group, { names }]) =>
        names.map((name) => ({ name, element: one.name, group })),
      ),
    ),
  };
}

/**
 * Says for each resolved package which element it is there for: the first, in the elements' order, that names it or something
 * that depends on it.
 */
export function packageOwners(
  plan: Pick<Plan, 'packages' | 'firmware' | 'fromDebian'>,
  resolved: readonly DebianPackage[],
): Map<string, string> {
  const index = packageIndex(resolved);
  const owners = new Map<string, string>();
  const claim = (name: string, element: string) => {
    const found = index.get(name);
    if (found === undefined || owners.has(found.name)) return;
    owners.set(found.name, element);
    for (const dependency of found.depends) claim(dependency, element);
  };
  for (const wanted of [...plan.packages, ...plan.firmware]) claim(wanted.name, wanted.element);
  for (const one of plan.fromDebian?.packages ?? []) claim(one.name, one.element);
  return owners;
}
