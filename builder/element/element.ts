import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

import { defineFailures } from '../../system/failure.ts';

const Reasons = Type.Record(Type.String(), Type.String({ minLength: 1 }));

const PackageSchema = Type.Object(
  {
    /** Debian's name of the package. `{kernel}` is the architecture's kernel package. */
    name: Type.String({ minLength: 1 }),
    /** Why the ramdisk needs it; printed by whoever asks where the bytes go. */
    reason: Type.String({ minLength: 1 }),
    /** Globs of what goes in from it; all of it unless said. What it depends on is not concerned. */
    only: Type.Optional(Type.Array(Type.String())),
    /** The build goes on without it when the mirror does not have it. */
    optional: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

const ModulesSchema = Type.Object(
  {
    reason: Type.String({ minLength: 1 }),
    /** Kernel modules by name, `-` and `_` alike. What they depend on comes with them; one that is built in is fine. */
    names: Type.Array(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
);

const AccountSchema = Type.Object(
  { name: Type.String(), id: Type.Integer(), home: Type.Optional(Type.String()), shell: Type.Optional(Type.String()) },
  { additionalProperties: false },
);

/** One element: what goes into a ramdisk, why, and what its packages' scripts would have done. Data, no code. */
export const ElementSchema = Type.Object(
  {
    /** The same as its folder's. Files in `elements/<name>/files` go in as they are, at the same place. */
    name: Type.String({ pattern: '^[a-z][a-z0-9-]*$' }),
    summary: Type.String({ minLength: 1 }),
    /** Elements that it cannot be without. */
    needs: Type.Optional(Type.Array(Type.String())),
    packages: Type.Optional(Type.Array(PackageSchema)),
    /** Packages that others depend on and that the ramdisk does without, each with its reason. */
    without: Type.Optional(Reasons),
    /** Globs of what is left out, whatever package or element it comes from, each with its reason. */
    prune: Type.Optional(Reasons),
    /** Links that maintainer scripts would have made: path to target. */
    links: Type.Optional(Type.Record(Type.String(), Type.String())),
    /** Empty folders, with their modes. */
    folders: Type.Optional(Type.Record(Type.String(), Type.Integer({ minimum: 0, maximum: 0o7777 }))),
    users: Type.Optional(Type.Array(AccountSchema)),
    groups: Type.Optional(Type.Array(AccountSchema)),
    /** Kernel modules by what they are for. */
    modules: Type.Optional(Type.Record(Type.String(), ModulesSchema)),
    /** Packages with firmware files; only those that an included module asks for go in. */
    firmware: Type.Optional(Type.Array(PackageSchema)),
    /** The pinned Node and the agent's bundle go in with this element. */
    agent: Type.Optional(Type.Object({ node: Type.String(), bundle: Type.String() })),
  },
  { additionalProperties: false },
);

export type Element = Static<typeof ElementSchema>;
export type ElementPackage = Static<typeof PackageSchema>;

const elementFailure = defineFailures({
  ELEMENT_INVALID: {
    message: (detail) => `cannot use element ${detail}`,
    hint: 'builder/element/element.ts says what an element may have',
  },
});

/**
 * Checks that something is an element.
 * @param name that of its folder
 * @throws Failure `ELEMENT_INVALID` that names the first field that is wrong
 */
export function checkElement(value: unknown, name: string): Element {
  if (!Value.Check(ElementSchema, value)) {
    const [first] = Value.Errors(ElementSchema, value);
    const where = first?.instancePath.replace(/^\//, '').replaceAll('/', '.');
    throw elementFailure(
      'ELEMENT_INVALID',
      `${name}: ${where ? `${where}: ` : ''}${first?.message ?? 'it has no element'}`,
    );
  }
  if (value.name !== name) throw elementFailure('ELEMENT_INVALID', `${name}: it calls itself ${value.name}`);
  return value;
}
