import { canonicalJson } from '../../evidence/canonical.ts';

type Place = (string | number)[];

/** Another value of the same type, of the same length where it is a text: what schemas catch is the easy part. */
function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'string' && value !== '') {
    const [first = ''] = value;
    const next = /\d/.test(first) ? String((Number(first) + 1) % 10) : first === 'a' ? 'b' : 'a';
    return `${next}${value.slice(first.length)}`;
  }
  return 'x';
}

function* places(value: unknown, at: Place = []): Generator<Place> {
  if (at.length > 0) yield at;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, item] of Object.entries(value))
    yield* places(item, [...at, Array.isArray(value) ? Number(name) : name]);
}

/** A copy in which one thing was changed by `change`, which gets what holds it and its name there. */
function changed(value: unknown, place: Place, change: (holder: never, name: string | number) => void): unknown {
  const copy = structuredClone(value);
  let holder = copy as Record<string | number, unknown>;
  for (const name of place.slice(0, -1)) holder = holder[name] as typeof holder;
  change(holder as never, place.at(-1) ?? '');
  return copy;
}

/**
 * Every way to alter a line of evidence in one place: each value there is by another, each member and element taken out. All are in
 * canonical form, so that nothing but the alteration gives them away.
 */
export function* alterations(line: string): Generator<{ what: string; line: string }> {
  const envelope = JSON.parse(line) as unknown;
  for (const place of places(envelope)) {
    const what = place.join('.');
    const isLeaf = (holder: Record<string | number, unknown>, name: string | number) =>
      typeof holder[name] !== 'object' || holder[name] === null;
    const set = changed(envelope, place, (holder: Record<string | number, unknown>, name) => {
      if (isLeaf(holder, name)) holder[name] = other(holder[name]);
      else if (Array.isArray(holder[name])) holder[name].push(null);
      else (holder[name] as Record<string, unknown>)['more'] = null;
    });
    yield { what: `${what} altered`, line: canonicalJson(set) };
    const taken = changed(envelope, place, (holder: unknown[] | Record<string, unknown>, name) => {
      if (Array.isArray(holder)) holder.splice(Number(name), 1);
      else delete holder[name];
    });
    yield { what: `${what} taken out`, line: canonicalJson(taken) };
  }
}
