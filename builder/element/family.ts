import type { Element, ElementPackage } from './element.ts';

/** RPM's name of the kernel's package; some distributions divide it into parts that it depends on. */
const RPM_KERNEL = 'kernel';

/** Debian has libraries in a folder for each architecture, RPM distributions in /usr/lib64. A glob of the first finds both. */
function libraryGlob(glob: string): string {
  return glob.replace(/^usr\/lib\/\*\//, 'usr/lib{/*,64}/');
}

function libraryGlobs(globs: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(globs).map(([glob, reason]) => [libraryGlob(glob), reason]));
}

function rpmPackage(one: ElementPackage): ElementPackage[] {
  const { rpm, ...rest } = one;
  if (rpm === null) return [];
  const name = rest.name === '{kernel}' ? RPM_KERNEL : rest.name;
  const only = rest.only && { only: rest.only.map(libraryGlob) };
  return [{ ...rest, name, ...only, ...rpm }];
}

/** An element as it is on a distribution of RPM packages: with the names and places that its packages have there. */
export function rpmElement(element: Element): Element {
  const { rpm, ...rest } = element;
  return {
    ...rest,
    packages: [...(element.packages ?? []), ...(rpm?.packages ?? [])].flatMap(rpmPackage),
    firmware: (element.firmware ?? []).flatMap(rpmPackage),
    without: { ...element.without, ...rpm?.without },
    scripts: { ...element.scripts, ...rpm?.scripts },
    prune: libraryGlobs({ ...element.prune, ...rpm?.prune }),
    ifNeeded: libraryGlobs(element.ifNeeded),
    links: { ...element.links, ...rpm?.links },
    checks: (element.checks ?? []).map((one) => ({ ...one, path: libraryGlob(one.path) })),
  };
}
