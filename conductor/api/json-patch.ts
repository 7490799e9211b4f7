import { apiFailure } from './errors.ts';

/** The operations of RFC 6902 that Ironic takes. */
export type PatchOperation = { op: 'add' | 'replace' | 'remove'; path: string; value?: unknown };
type Tree = Record<string, unknown>;

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null;
}

const FORBIDDEN = ['__proto__', 'constructor', 'prototype'];

function keysOf(path: string): string[] {
  if (!path.startsWith('/') || path === '/') throw apiFailure('REQUEST_INVALID', `the path ${path} names nothing`);
  const keys = path
    .slice(1)
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (keys.some((key) => key === '' || FORBIDDEN.includes(key)))
    throw apiFailure('REQUEST_INVALID', `the path ${path} names nothing`);
  return keys;
}

function applyToArray(list: unknown[], key: string, { op, path, value }: PatchOperation): void {
  const index = key === '-' && op === 'add' ? list.length : /^\d+$/.test(key) ? Number(key) : -1;
  if (index < 0 || index > list.length - (op === 'add' ? 0 : 1))
    throw apiFailure('REQUEST_INVALID', `there is no ${path}`);
  if (op === 'add') list.splice(index, 0, value);
  else if (op === 'remove') list.splice(index, 1);
  else list[index] = value;
}

function applyOne(root: Tree, operation: PatchOperation): void {
  const { op, path, value } = operation;
  const keys = keysOf(path);
  const last = keys.pop() ?? '';
  let parent: unknown = root;
  for (const key of keys) parent = isTree(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
  if (!isTree(parent)) throw apiFailure('REQUEST_INVALID', `there is nothing that could hold ${path}`);
  if (Array.isArray(parent)) return applyToArray(parent, last, operation);
  if (op !== 'add' && !Object.hasOwn(parent, last)) throw apiFailure('REQUEST_INVALID', `there is no ${path}`);
  if (op === 'remove') delete parent[last];
  else parent[last] = value;
}

/**
 * Applies a JSON patch (RFC 6902: add, replace, remove) to a copy.
 * @throws Failure REQUEST_INVALID that names the path; then nothing has changed
 */
export function applyPatch<T extends Tree>(document: T, patch: readonly PatchOperation[]): T {
  const copy = structuredClone(document);
  for (const operation of patch) applyOne(copy, operation);
  return copy;
}
