import { readFile } from 'node:fs/promises';

import type { Architecture } from '../arch/table.ts';
import type { Progress } from '../cli/progress.ts';
import type { Element } from './element/element.ts';
import { fillIn, isSet, misspelt, settleVariables } from './element/variables.ts';
import { expandElements } from './elements.ts';
import { builderFailure } from './failures.ts';
import type { BuilderHost } from './host/door.ts';
import { hashPassword } from './password.ts';

/** Variables that are of the builder itself or of diskimage-builder's core, so that no element has to declare them. */
const CORE_VARIABLES = ['DIB_RELEASE', 'DIB_DISTRIBUTION_MIRROR', 'DIB_DEBUG_TRACE', 'DIB_OFFLINE', 'DIB_PYTHON_EXEC'];

/** How elements are found and what they are told. */
export type SettleOptions = {
  host: Pick<BuilderHost, 'run'>;
  /** Folders with elements besides those that come with Ingot; the first that has a name wins. */
  elementsPath?: readonly string[] | undefined;
  /** Variables that elements may use: those of whoever builds. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  progress: Pick<Progress, 'log'>;
  signal: AbortSignal;
};

/**
 * Elements with all that they need, in their order, with the values of their variables in place. What looks wrong without being
 * an error is said as a warning.
 * @throws Failure `ELEMENT_INVALID`, `ELEMENT_CYCLE`, `ELEMENT_CONFLICT`, `VARIABLE_INVALID`
 */
export async function settleElements(
  names: readonly string[],
  row: Architecture,
  { host, elementsPath = [], env = {}, progress, signal }: SettleOptions,
): Promise<Element[]> {
  const found = await expandElements(names, { folders: elementsPath, onShadow: (message) => progress.log(message) });
  for (const { name, arch } of found)
    if (arch !== undefined && !arch.includes(row.name))
      throw builderFailure('ELEMENT_INVALID', `${name}: it is for ${arch.join(', ')}, and not for ${row.name}`);
  const settings = await settleVariables(found, env, {
    readFile: (path) => readFile(path, 'utf8'),
    hash: (password, purpose) => hashPassword(host, password, purpose, signal),
  });
  for (const line of misspelt(env, [...settings.keys(), ...CORE_VARIABLES])) progress.log(`warning: ${line}`);
  for (const { name, warnings } of found)
    for (const { text, unless } of warnings ?? [])
      if (!unless?.some((variable) => isSet(settings.get(variable)?.value))) progress.log(`warning: ${name}: ${text}`);
  return found.map((one) => fillIn(one, settings));
}
