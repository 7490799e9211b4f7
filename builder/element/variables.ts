import { defineFailures } from '../../system/failure.ts';
import type { Element, Variable } from './element.ts';
import { nearest } from '../../cli/nearest.ts';

const variableFailure = defineFailures({
  VARIABLE_INVALID: { message: (detail) => `cannot use the variable ${detail}`, exitCode: 2 },
});

/** What an element's variable stands for: text, or several of them where it is a list. Empty when it is not set, or no. */
export type Value = string | readonly string[];
export type Setting = Variable & {
  name: string;
  element: string;
  /** Set by whoever builds, and not empty. */
  given: boolean;
  value: Value;
};
export type Settings = ReadonlyMap<string, Setting>;

const BOOLS: Readonly<Record<string, string>> = { yes: 'yes', true: 'yes', 1: 'yes', no: '', false: '', 0: '', '': '' };
/** crypt(3) as `$6$…`, `$y$…` and their kin. */
const CRYPT_HASH = /^\$(?:y|gy|7|2[abxy]|[156])\$[./A-Za-z0-9$,=-]{20,}$/;

/** How values are made that are not in the text itself. */
export type Makers = {
  readFile: (path: string) => Promise<string>;
  /** A crypt(3) hash of a password; the same password and salt give the same hash. */
  hash: (password: string, salt: string) => Promise<string>;
};

function refused(variable: Pick<Setting, 'name' | 'type' | 'secret'>, text: string, why: string) {
  const shown = variable.secret || variable.type === 'password' ? '' : `=${text}`;
  return variableFailure('VARIABLE_INVALID', `${variable.name}${shown}: ${why}`);
}

async function valueOf(variable: Omit<Setting, 'value'>, text: string, makers: Makers): Promise<Value> {
  const { name, type, pattern } = variable;
  if (text !== '' && pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(text))
    throw refused(variable, text, `it has to match ${pattern}`);
  switch (type) {
    case 'bool': {
      const value = BOOLS[text.toLowerCase()];
      if (value === undefined) throw refused(variable, text, 'it is neither yes nor no');
      return value;
    }
    case 'int':
      if (!/^\d*$/.test(text)) throw refused(variable, text, 'it is no whole number');
      return text;
    case 'list':
      return text.split(/[\s,]+/).filter(Boolean);
    case 'path':
      return text === ''
        ? ''
        : makers.readFile(text).catch((error: unknown) => {
            throw refused(variable, text, `it cannot be read: ${(error as Error).message}`);
          });
    case 'password':
      return text === '' || CRYPT_HASH.test(text) ? text : makers.hash(text, `${variable.element}/${name}`);
    case 'string':
      break;
  }
  return text;
}

/**
 * Values of all variables of these elements.
 * @param given variables of whoever builds; those that no element declares are not looked at
 * @throws Failure `VARIABLE_INVALID`; a secret is not in its message
 */
export async function settleVariables(
  elements: readonly Element[],
  given: Readonly<Record<string, string | undefined>>,
  makers: Makers,
): Promise<Settings> {
  const settings = new Map<string, Setting>();
  for (const element of elements)
    for (const [name, variable] of Object.entries(element.env ?? {})) {
      if (settings.has(name)) continue;
      const own = given[name] ?? '';
      const facts = { ...variable, name, element: element.name, given: own !== '' };
      settings.set(name, { ...facts, value: await valueOf(facts, own || (variable.default ?? ''), makers) });
    }
  return settings;
}

/** Whether a variable says yes, or anything at all. */
export function isSet(value: Value | undefined): boolean {
  return value !== undefined && value.length > 0;
}

/**
 * Names of `DIB_…` variables that are set, that nothing declares, and that look like one that something does.
 * @returns one line each
 */
export function misspelt(given: Readonly<Record<string, string | undefined>>, known: readonly string[]): string[] {
  return Object.keys(given)
    .filter((name) => name.startsWith('DIB_') && !known.includes(name))
    .toSorted((a, b) => (a < b ? -1 : 1))
    .flatMap((name) => {
      const meant = nearest(name, known);
      return meant === undefined ? [] : [`the variable ${name} is of no element that goes in; did you mean ${meant}?`];
    });
}

const PLACE = /\{\{([A-Z][A-Z0-9_]*)\}\}/g;

/**
 * An element with the values of its variables in their places, and without the files that depend on a variable that is not set.
 * @throws Failure `VARIABLE_INVALID` for a place of a variable that there is not
 */
export function fillIn(element: Element, settings: Settings): Element {
  const lookUp = (name: string): Value => {
    const found = settings.get(name);
    if (found === undefined)
      throw variableFailure('VARIABLE_INVALID', `${name}: ${element.name} uses it, and no element declares it`);
    return found.value;
  };
  const text = (template: string) => template.replaceAll(PLACE, (_, name: string) => [lookUp(name)].flat().join(' '));
  const fill = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value);
    if (Array.isArray(value)) return (value as unknown[]).flatMap((item): unknown[] => several(item) ?? [fill(item)]);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [text(key), fill(item)]));
  };
  const several = (item: unknown): unknown[] | undefined => {
    const whole = typeof item === 'string' ? /^\{\{([A-Z0-9_]+)\}\}$/.exec(item)?.[1] : undefined;
    const value = whole === undefined ? undefined : lookUp(whole);
    return Array.isArray(value) ? (value as unknown[]) : undefined;
  };
  const { users, groups, folders, links, texts, checks } = element;
  const wanted = Object.entries(texts ?? {}).filter(([, { when }]) => when === undefined || isSet(lookUp(when)));
  const parts = { users, groups, folders, links, checks, ...(texts && { texts: Object.fromEntries(wanted) }) };
  const given = Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
  return { ...element, ...(fill(given) as Partial<Element>) };
}
