import { nearest } from '../../cli/nearest.ts';
import { dibFailure } from './failures.ts';
import type { Catalogue, DibElement } from './find.ts';

/** The virtual element that exactly one element must provide. */
const OPERATING_SYSTEM = 'operating-system';

export type ExpandOptions = {
  /** The element `base` comes with every build, unless it is left out as `-n` does. */
  base?: boolean;
  /** Names that something else answers for: nothing is read for them, and they need nothing. */
  isReplaced?: (name: string) => boolean;
  /** Virtual names that something else provides. */
  provided?: readonly string[];
};

export type Expansion = {
  /** Each after what it needs; the same names and files give the same order. */
  elements: DibElement[];
  /** Names that were asked for and that something else answers for, with who asked for them. */
  replaced: { name: string; neededBy: string | undefined }[];
};

type State = {
  catalogue: Catalogue;
  options: ExpandOptions;
  virtual: ReadonlySet<string>;
  ordered: Map<string, DibElement>;
  replaced: Map<string, string | undefined>;
};

function missing(name: string, above: readonly string[], catalogue: Catalogue) {
  const near = nearest(name, catalogue.names);
  const wanted = above.length > 0 ? `, which ${above.at(-1)} needs` : '';
  return dibFailure('DIB_MISSING', `${name}${wanted}`, {
    hint:
      near === undefined
        ? 'add the folder that has it with --elements-path DIR'
        : `did you mean ${near}? Else add the folder that has it with --elements-path DIR`,
  });
}

async function visit(name: string, above: readonly string[], state: State): Promise<void> {
  const { catalogue, options, virtual, ordered, replaced } = state;
  // DIB takes a loop in silence, but it cannot be meant: one of the two has to come first.
  if (above.includes(name)) throw dibFailure('DIB_CYCLE', [...above.slice(above.indexOf(name)), name].join(' needs '));
  if (virtual.has(name) || ordered.has(name)) return;
  if (options.isReplaced?.(name)) {
    if (!replaced.has(name)) replaced.set(name, above.at(-1));
    return;
  }
  const element = await catalogue.element(name);
  if (element === undefined) throw missing(name, above, catalogue);
  for (const needed of element.deps.toSorted()) await visit(needed, [...above, name], state);
  ordered.set(name, element);
}

/** Who provides what among these elements. */
function providers(elements: Iterable<DibElement>): Map<string, string> {
  const found = new Map<string, string>();
  for (const { name, provides } of elements)
    for (const virtual of provides) {
      const before = found.get(virtual);
      if (before !== undefined && before !== name)
        throw dibFailure('DIB_PROVIDED_TWICE', `${before} and ${name} both provide ${virtual}`);
      found.set(virtual, name);
    }
  return found;
}

/**
 * Elements and all that they need. A name that an element provides needs no element of its own: it is left out even where one
 * exists, together with what only it needs.
 * @throws Failure `DIB_MISSING`, `DIB_CYCLE`, `DIB_PROVIDED_TWICE`, `DIB_NO_BASE`
 */
export async function expandDibElements(
  names: readonly string[],
  catalogue: Catalogue,
  options: ExpandOptions = {},
): Promise<Expansion> {
  const wanted = [...(options.base === false ? [] : ['base']), ...names];
  // A virtual element is looked for as long as nobody is known to provide it; so those who provide are found first.
  const virtual = new Set([...(options.provided ?? []), ...(await providedBy(wanted, catalogue, options))]);
  const state: State = { catalogue, options, virtual, ordered: new Map(), replaced: new Map() };
  for (const name of wanted) await visit(name, [], state);
  const found = providers(state.ordered.values());
  for (const name of names) {
    const by = found.get(name);
    if (by !== undefined) throw dibFailure('DIB_PROVIDED_TWICE', `${by} stands for ${name}, which was asked for, too`);
  }
  if (!found.has(OPERATING_SYSTEM) && options.provided?.includes(OPERATING_SYSTEM) !== true)
    throw dibFailure('DIB_NO_BASE', `no element among ${wanted.join(', ')} provides one`);
  return {
    elements: [...state.ordered.values()],
    replaced: [...state.replaced].map(([name, neededBy]) => ({ name, neededBy })),
  };
}

/** Virtual names of all elements that can be reached, as far as they exist. */
async function providedBy(
  names: readonly string[],
  catalogue: Catalogue,
  options: ExpandOptions,
): Promise<Set<string>> {
  const seen = new Set<string>();
  const provided = new Set<string>();
  const queue = [...names];
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (seen.has(name) || options.isReplaced?.(name)) continue;
    seen.add(name);
    const element = await catalogue.element(name);
    if (element === undefined) continue;
    for (const one of element.provides) provided.add(one);
    queue.push(...element.deps);
  }
  return provided;
}
