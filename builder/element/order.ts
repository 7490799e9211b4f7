import { defineFailures } from '../../system/failure.ts';
import type { Element } from './element.ts';

const orderFailure = defineFailures({
  ELEMENT_CYCLE: {
    message: (detail) => `cannot put the elements in an order: ${detail}`,
    hint: 'take one of these out of needs or after',
  },
  ELEMENT_CONFLICT: {
    message: (detail) => `cannot use these elements together: ${detail}`,
    hint: 'leave one of them out',
  },
});

const byName = (a: string, b: string) => (a < b ? -1 : 1);

/**
 * Checks that elements go together: none is in twice by another name, and none is in that another cannot be with.
 * @throws Failure `ELEMENT_CONFLICT`
 */
function checkTogether(given: readonly Element[]): void {
  const elements = given.toSorted((a, b) => byName(a.name, b.name));
  const owners = new Map(elements.map((one) => [one.name, one.name]));
  for (const element of elements)
    for (const name of element.provides ?? []) {
      const other = owners.get(name);
      if (other !== undefined) throw orderFailure('ELEMENT_CONFLICT', `${other} and ${element.name} are both ${name}`);
      owners.set(name, element.name);
    }
  for (const element of elements)
    for (const [name, reason] of Object.entries(element.conflicts ?? {})) {
      const other = owners.get(name);
      if (other !== undefined && other !== element.name)
        throw orderFailure('ELEMENT_CONFLICT', `${element.name} and ${other}: ${reason}`);
    }
}

/** A way from an element back to itself, along what it comes after. */
function cycleFrom(start: string, before: ReadonlyMap<string, readonly string[]>): string[] {
  const path = [start];
  // Every element that is left waits for another that is left, so this walk comes back to where it has been.
  for (;;) {
    const next = before.get(path.at(-1) ?? '')?.find((name) => before.has(name)) ?? start;
    const seen = path.indexOf(next);
    if (seen >= 0) return [...path.slice(seen), next];
    path.push(next);
  }
}

/**
 * Elements in the order in which they take part: each after what it needs and what it says it comes after, otherwise by name.
 * Names that are provided stand for the element that provides them. Pure: the order of `elements` does not matter.
 * @throws Failure `ELEMENT_CYCLE` with the whole circle, `ELEMENT_CONFLICT`
 */
export function orderElements(elements: readonly Element[]): Element[] {
  checkTogether(elements);
  const names = new Map(elements.flatMap((one) => [one.name, ...(one.provides ?? [])].map((name) => [name, one.name])));
  const left = new Map(
    elements.map((one) => [
      one.name,
      [...(one.needs ?? []), ...(one.after ?? [])].flatMap((name) => names.get(name) ?? []).toSorted(byName),
    ]),
  );
  const ordered: Element[] = [];
  while (left.size > 0) {
    const ready = [...left]
      .filter(([, before]) => !before.some((name) => left.has(name)))
      .map(([name]) => name)
      .toSorted(byName)[0];
    if (ready === undefined) {
      const [start = ''] = [...left.keys()].toSorted(byName);
      throw orderFailure('ELEMENT_CYCLE', `${cycleFrom(start, left).join(' -> ')}: each comes after the next`);
    }
    left.delete(ready);
    const element = elements.find((one) => one.name === ready);
    if (element !== undefined) ordered.push(element);
  }
  return ordered;
}
