/** Where what the agent said is not what the recording has. `at` is a path such as `4 answer.command_result.steps`. */
export type Difference = { at: string; what: 'missing' | 'extra' | 'type' | 'value'; recorded: unknown; ours: unknown };

type Json = Record<string, unknown>;

/** Values that no two runs share; the pattern is what they look like in each of them. */
const VOLATILE: Readonly<Record<string, RegExp>> = {
  id: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  system_logs: /^(H4sI|<LOGS_\d+>)/,
  logs: /^(H4sI|<LOGS_\d+>)/,
  agent_version: /^\d+\.\d+\.\d+$/,
  version: /^\d+\.\d+\.\d+$/,
  agent_verify_ca: /^(-----BEGIN CERTIFICATE-----\n|<CERTIFICATE(_\d+)?>)/,
  callback_url: /^https?:\/\/127\.0\.0\.1:\d+$/,
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** Members of a list of objects with a name of their own are compared by it, others by their place. */
function keyed(list: readonly unknown[]): Map<string, unknown> {
  const names = list.map((item) => (item as Json | null)?.['step'] ?? (item as Json | null)?.['collector']);
  const byName = list.length > 0 && names.every((name) => typeof name === 'string');
  return new Map(list.map((item, index) => [byName ? String(names[index]) : String(index), item]));
}

function compareMaps(at: string, recorded: Map<string, unknown>, ours: Map<string, unknown>, only: 'types' | 'values') {
  const found: Difference[] = [];
  for (const [key, value] of recorded) {
    if (!ours.has(key)) found.push({ at: `${at}.${key}`, what: 'missing', recorded: value, ours: undefined });
    else found.push(...compare(`${at}.${key}`, value, ours.get(key), only, key));
  }
  for (const [key, value] of ours)
    if (!recorded.has(key)) found.push({ at: `${at}.${key}`, what: 'extra', recorded: undefined, ours: value });
  return found;
}

/**
 * Compares JSON values strictly: types always, keys of objects always, and values unless no two runs share them.
 * @param only 'types' is for the description of another machine: its values, lengths of lists and what it has not (null)
 * differ, the types of what both have do not
 */
export function compare(
  at: string,
  recorded: unknown,
  ours: unknown,
  only: 'types' | 'values' = 'values',
  key = '',
): Difference[] {
  const pattern = VOLATILE[key];
  const [a, b] = [typeOf(recorded), typeOf(ours)];
  if (pattern && a === 'string' && pattern.test(String(recorded)))
    return pattern.test(String(ours)) ? [] : [{ at, what: 'value', recorded, ours }];
  if (key === 'started_at' && typeof ours === 'number' && typeof recorded === 'number') return [];
  if (only === 'types' && (a === 'null' || b === 'null')) return [];
  if (a !== b) return [{ at, what: 'type', recorded, ours }];
  if (Array.isArray(recorded) && Array.isArray(ours)) {
    if (only === 'types') return ours.flatMap((item, i) => compare(`${at}.${i}`, recorded[0] ?? item, item, only));
    return compareMaps(at, keyed(recorded), keyed(ours), only);
  }
  if (a === 'object')
    return compareMaps(at, new Map(Object.entries(recorded as Json)), new Map(Object.entries(ours as Json)), only);
  return only === 'types' || recorded === ours ? [] : [{ at, what: 'value', recorded, ours }];
}

/** A difference that is meant to be; `where` and `what` must fit it. */
export type KnownDifference = { where: RegExp; what: readonly Difference['what'][]; why: string };

/** One line for each difference that no row of the table explains. */
export function unexplained(differences: readonly Difference[], table: readonly KnownDifference[]): string[] {
  return differences
    .filter(({ at, what }) => !table.some((row) => row.what.includes(what) && row.where.test(at)))
    .map((d) => `${d.at}: ${d.what}: recorded ${JSON.stringify(d.recorded)}, ours ${JSON.stringify(d.ours)}`);
}
