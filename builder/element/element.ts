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
    /** What is different on a distribution of RPM packages; null where it has nothing like it, or another package brings it. */
    rpm: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.Object(
          { name: Type.Optional(Type.String({ minLength: 1 })), only: Type.Optional(Type.Array(Type.String())) },
          { additionalProperties: false },
        ),
      ]),
    ),
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

const Name = Type.String({ minLength: 1 });
const Mode = Type.Integer({ minimum: 0, maximum: 0o7777 });

const AccountSchema = Type.Object(
  {
    name: Name,
    id: Type.Integer({ minimum: 0, maximum: 65_535 }),
    home: Type.Optional(Type.String()),
    shell: Type.Optional(Type.String()),
    /** A crypt(3) hash; without one nobody logs in with a password. */
    password: Type.Optional(Type.String()),
    /** Other groups that a user is in. */
    groups: Type.Optional(Type.Array(Name)),
  },
  { additionalProperties: false },
);

const FolderSchema = Type.Union([
  Mode,
  Type.Object({ mode: Mode, /** Name of a user; root unless said. */ owner: Name }, { additionalProperties: false }),
]);

const TextSchema = Type.Object(
  {
    text: Type.String(),
    /** 0644 unless said. */
    mode: Type.Optional(Mode),
    /** Name of a user; root unless said. */
    owner: Type.Optional(Name),
    /** Variable without which there is no such file: a bool that is no, or anything that is empty. */
    when: Type.Optional(Name),
  },
  { additionalProperties: false },
);

const JoinedSchema = Type.Object(
  { /** A glob. */ from: Name, reason: Type.String({ minLength: 1 }) },
  { additionalProperties: false },
);

const VariableSchema = Type.Object(
  {
    /**
     * `bool`: yes, no, true, false, 1, 0. `list`: words apart by spaces or commas. `path`: a file of the machine that builds;
     * its text is the value. `password`: plain text, which becomes a SHA-512 crypt(3) hash, or such a hash.
     */
    type: Type.Enum(['string', 'bool', 'int', 'list', 'path', 'password']),
    description: Type.String({ minLength: 1 }),
    /** As it would be given; empty unless said. */
    default: Type.Optional(Type.String()),
    /** A regular expression that the whole value matches. */
    pattern: Type.Optional(Type.String()),
    /** Never shown and never written down; passwords are secret anyway. */
    secret: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

const ServiceSchema = Type.Object(
  {
    /** A program of the ramdisk with its arguments, without a shell around it. */
    run: Type.String({ pattern: '^/' }),
    /**
     * When init starts it, in the words of its inittab: `sysinit` before all else, `wait` after that and to its end, `once` and
     * `respawn` at last and beside the others, `ctrlaltdel` when somebody presses these keys, `shutdown` before the machine stops.
     */
    start: Type.Enum(['sysinit', 'wait', 'once', 'respawn', 'ctrlaltdel', 'shutdown']),
  },
  { additionalProperties: false },
);

const CheckSchema = Type.Object(
  {
    /** Path in the finished tree, or a glob. */
    path: Name,
    /** What breaks when it is not so. */
    reason: Type.String({ minLength: 1 }),
    mode: Type.Optional(Mode),
    /** Budget of all files that match, together. */
    maxBytes: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Nothing may be there. */
    absent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

const WarningSchema = Type.Object(
  {
    text: Type.String({ minLength: 1 }),
    /** Variables; with any of them set, the warning is not given. */
    unless: Type.Optional(Type.Array(Name)),
  },
  { additionalProperties: false },
);

/** One element: what goes into a ramdisk, why, and what its packages' scripts would have done. Data, no code. */
export const ElementSchema = Type.Object(
  {
    /** The same as its folder's. Files in `elements/<name>/files` go in as they are, at the same place. */
    name: Type.String({ pattern: '^[a-z][a-z0-9-]*$' }),
    summary: Type.String({ minLength: 1 }),
    /** Elements that it cannot be without, or names that one of them provides. */
    needs: Type.Optional(Type.Array(Name)),
    /** Other names that it goes by; no second element of a ramdisk may have one of them. */
    provides: Type.Optional(Type.Array(Name)),
    /** Elements that it cannot be with, each with its reason. */
    conflicts: Type.Optional(Reasons),
    /** Elements that it comes after where they are in as well: later services start later, later files win nothing. */
    after: Type.Optional(Type.Array(Name)),
    /** Architectures that it is for, `uname -m` names; all unless said. */
    arch: Type.Optional(Type.Array(Name)),
    /**
     * Variables that a build may set. `{{NAME}}` in users, groups, folders, links, texts and checks stands for their values; a
     * list that is all of an item becomes several.
     */
    env: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Z][A-Z0-9_]*$' }), VariableSchema)),
    /** Said when it goes in. */
    warnings: Type.Optional(Type.Array(WarningSchema)),
    packages: Type.Optional(Type.Array(PackageSchema)),
    /** Packages that others depend on and that the ramdisk does without, each with its reason. */
    without: Type.Optional(Reasons),
    /**
     * Packages (globs of their names) whose scripts do something that matters when they are installed, each with how this element
     * does the same, or why it does not matter here.
     */
    scripts: Type.Optional(Reasons),
    /** Globs of what is left out, whatever package or element it comes from, each with its reason. */
    prune: Type.Optional(Reasons),
    /** Globs of libraries that go in only where a program of the ramdisk needs them, each with why none may. */
    ifNeeded: Type.Optional(Reasons),
    /** Links that maintainer scripts would have made: path to target. */
    links: Type.Optional(Type.Record(Type.String(), Type.String())),
    /** More of the same for distributions of RPM packages. */
    rpm: Type.Optional(
      Type.Object(
        {
          packages: Type.Optional(Type.Array(PackageSchema)),
          without: Type.Optional(Reasons),
          scripts: Type.Optional(Reasons),
          prune: Type.Optional(Reasons),
          links: Type.Optional(Type.Record(Type.String(), Type.String())),
        },
        { additionalProperties: false },
      ),
    ),
    /** Empty folders, with their modes. */
    folders: Type.Optional(Type.Record(Type.String(), FolderSchema)),
    /** Files that are written out here: path to text. */
    texts: Type.Optional(Type.Record(Type.String(), TextSchema)),
    /** Files that are made of others, one after the other by their names, which are then left out: path to what it is made of. */
    joined: Type.Optional(Type.Record(Type.String(), JoinedSchema)),
    /** What init starts. */
    services: Type.Optional(Type.Record(Name, ServiceSchema)),
    /**
     * What cannot be data: programs in the element's folder that run as those of diskimage-builder do (`install.d/50-name`), each with
     * the reason. They cost what hooks cost: a tree with a whole system, and programs of it that run.
     */
    hooks: Type.Optional(Reasons),
    /** What must be true of the finished tree. */
    checks: Type.Optional(Type.Array(CheckSchema)),
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

export type Element = Static<typeof ElementSchema> & {
  /** Folder that it was read from, with its `files`; one that is made up has none. */
  home?: string;
};
export type Variable = Static<typeof VariableSchema>;
export type Account = Static<typeof AccountSchema>;
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
