/**
 * The one text that a JSON value has: RFC 8785 (JSON Canonicalization Scheme). Members are sorted by the UTF-16 code units of
 * their names, and numbers are written as ECMAScript writes them (section 3.2.2.3), which is what JSON.stringify does.
 * @throws TypeError for what JSON does not have: undefined, NaN, infinities, functions, half of a surrogate pair
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`JSON has no number ${value}`);
    return JSON.stringify(value);
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('JSON text has no half of a surrogate pair');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`JSON has no ${typeof value}`);
  const members = Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, item]) => `${canonicalJson(name)}:${canonicalJson(item)}`);
  return `{${members.join(',')}}`;
}
