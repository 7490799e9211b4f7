import { join } from 'node:path';

import { expandDibElements } from './expand.ts';
import { dibFailure } from './failures.ts';
import { type Catalogue, type DibElement, openCatalogue } from './find.ts';
import { diskFolders, type ElementFolders } from './folders.ts';
import { checkSupported, type HookProblem, mergeHooks, type MergedHooks } from './hooks.ts';
import { REPLACEMENTS } from './native.ts';

/** Our own elements of the names that every build of DIB is made of: package-installs, install-static and their kin. */
export const OWN_ELEMENTS = join(import.meta.dirname, 'elements');

export type DibRequest = {
  /** Names that are no elements of Ingot. */
  names: readonly string[];
  /** ELEMENTS_PATH. */
  path: readonly string[];
  /** Whether an element of Ingot has the name. */
  isNative: (name: string) => boolean;
  /** The caller's variables. */
  env: Readonly<Record<string, string | undefined>>;
  folders?: ElementFolders;
};

/** What elements of DIB bring into a build. */
export type DibRecipe = {
  /** In the order of their needs; Ingot's own stand-ins are among them. */
  elements: readonly DibElement[];
  /** Those that are not Ingot's own; when there are none, no hook has to run. */
  foreign: readonly DibElement[];
  /** Elements of Ingot that they need. */
  native: readonly string[];
  hooks: MergedHooks;
  warnings: readonly string[];
};

/** How a thing is installed: DIB_INSTALLTYPE_<thing>, else DIB_DEFAULT_INSTALLTYPE, else from source. */
export function installTypes(env: Readonly<Record<string, string | undefined>>): (name: string) => string {
  const usual = env['DIB_DEFAULT_INSTALLTYPE'] || 'source';
  return (name) => env[`DIB_INSTALLTYPE_${name.replaceAll(/[^A-Za-z0-9]/g, '_')}`] || usual;
}

const describe = ({ file, reason }: HookProblem) => `${file.path} of element ${file.element} would not run: ${reason}`;

/**
 * A file that looks like a hook and would never run is a mistake: DIB leaves it out in silence, and so do we when DIB_COMPAT=bug asks
 * for that.
 */
function checkProblems(problems: readonly HookProblem[], isLenient: boolean): string[] {
  const error = problems.find((one) => one.severity === 'error');
  if (error !== undefined && !isLenient) throw dibFailure('DIB_BAD_HOOK', describe(error), { hint: error.hint });
  return problems.map((one) => `${describe(one)} (${one.hint})`);
}

const UNIT =
  /^(?:static\/(?:usr\/)?lib\/systemd\/system|static\/etc\/systemd\/system|init-scripts\/systemd)\/([^/]+\.(?:service|socket|timer|path|target|mount))$/;

/** Units that would wait for an init system that the ramdisk does not have. */
function unitWarnings(hooks: MergedHooks): string[] {
  const units = hooks.files.flatMap((file) => {
    const name = UNIT.exec(file.path)?.[1];
    return name === undefined ? [] : [`${name} (${file.element})`];
  });
  if (units.length === 0) return [];
  return [
    `nothing starts the systemd units ${units.join(', ')}: the ramdisk's init is busybox, which reads /etc/inittab`,
  ];
}

function replacementWarnings(
  names: readonly string[],
  replaced: readonly { name: string; neededBy: string | undefined }[],
) {
  return replaced.flatMap(({ name, neededBy }) => {
    const row = REPLACEMENTS[name];
    if (row?.by === 'refused')
      throw dibFailure(
        'DIB_UNSUPPORTED',
        `element ${name}${neededBy ? `, which ${neededBy} needs` : ''}: ${row.reason}`,
        {
          hint: `leave ${neededBy ?? name} out`,
        },
      );
    return row?.warning !== undefined && names.includes(name) ? [row.warning] : [];
  });
}

function shadowWarnings(catalogue: Catalogue, elements: readonly DibElement[]): string[] {
  const used = new Set(elements.map((one) => one.folder));
  return catalogue.shadowed
    .filter(({ by }) => used.has(by) && !by.startsWith(OWN_ELEMENTS))
    .map(({ name, folder, by }) => `element ${name} is taken from ${by}; the one in ${folder} is not used`);
}

/**
 * Reads elements of DIB and all that they need, and says what is wrong with them before anything is fetched or run.
 * @throws Failure of `builder/dib/failures.ts`
 */
export async function readDibElements(request: DibRequest): Promise<DibRecipe> {
  const folders = request.folders ?? diskFolders;
  const catalogue = await openCatalogue([OWN_ELEMENTS, ...request.path], folders);
  const { elements, replaced } = await expandDibElements(request.names, catalogue, {
    isReplaced: (name) => request.isNative(name) || Object.hasOwn(REPLACEMENTS, name),
    provided: ['operating-system'],
  });
  const warnings = replacementWarnings(request.names, replaced);
  await checkSupported(elements, folders);
  const hooks = await mergeHooks(elements, folders, installTypes(request.env));
  return {
    elements,
    foreign: elements.filter((one) => !one.folder.startsWith(OWN_ELEMENTS)),
    native: replaced.map((one) => one.name).filter(request.isNative),
    hooks,
    warnings: [
      ...warnings,
      ...shadowWarnings(catalogue, elements),
      ...checkProblems(hooks.problems, request.env['DIB_COMPAT'] === 'bug'),
      ...unitWarnings(hooks),
    ],
  };
}
