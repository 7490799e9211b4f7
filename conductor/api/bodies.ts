import { type Static, Type } from 'typebox';

import { VERBS } from '../states/table.ts';
import { POWER_TARGETS } from '../store/node.ts';

const closed = { additionalProperties: false };
const object = Type.Record(Type.String(), Type.Unknown());
const nullableText = Type.Union([Type.String({ maxLength: 4000 }), Type.Null()]);

/** Ironic's rule for node names: what could be a host name, with a little more. */
const NAME = '^[A-Za-z0-9]([A-Za-z0-9._~-]{0,253}[A-Za-z0-9_~-])?$';
const UUID = '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$';
const MAC = '^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$';

/** What an operator may set about a node. */
const SETTABLE = {
  name: Type.Optional(Type.Union([Type.String({ pattern: NAME }), Type.Null()])),
  description: Type.Optional(nullableText),
  resource_class: Type.Optional(nullableText),
  instance_uuid: Type.Optional(Type.Union([Type.String({ pattern: UUID }), Type.Null()])),
  properties: Type.Optional(object),
  driver_info: Type.Optional(object),
  instance_info: Type.Optional(object),
  extra: Type.Optional(object),
};

export const NewNodeSchema = Type.Object(
  { ...SETTABLE, uuid: Type.Optional(Type.String({ pattern: UUID })), driver: Type.Literal('redfish') },
  closed,
);
/** What a node must still look like after a JSON patch. */
export const PatchedNodeSchema = Type.Object({ ...SETTABLE, driver: Type.Literal('redfish') }, closed);

export const PatchSchema = Type.Array(
  Type.Object({
    op: Type.Union([Type.Literal('add'), Type.Literal('replace'), Type.Literal('remove')]),
    path: Type.String({ maxLength: 1000 }),
    value: Type.Optional(Type.Unknown()),
  }),
  { maxItems: 1000 },
);

const StepSchema = Type.Object(
  {
    step: Type.String({ minLength: 1 }),
    interface: Type.String({ minLength: 1 }),
    args: Type.Optional(object),
  },
  closed,
);

export const ProvisionSchema = Type.Object(
  {
    target: Type.Union(VERBS.map((verb) => Type.Literal(verb))),
    configdrive: Type.Optional(Type.Unknown()),
    clean_steps: Type.Optional(Type.Array(StepSchema, { maxItems: 1000 })),
  },
  closed,
);

/** Empty takes it back; what else has to be in it is said by the step that makes arrays of it. */
export const RaidSchema = Type.Object(
  { logical_disks: Type.Optional(Type.Array(object, { minItems: 1, maxItems: 128 })) },
  closed,
);

export const PowerSchema = Type.Object(
  {
    target: Type.Union(POWER_TARGETS.map((target) => Type.Literal(target))),
    timeout: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
);

export const NewPortSchema = Type.Object(
  {
    node_uuid: Type.String({ pattern: UUID }),
    address: Type.String({ pattern: MAC }),
    pxe_enabled: Type.Optional(Type.Boolean()),
    extra: Type.Optional(object),
  },
  closed,
);

export type NewNodeBody = Static<typeof NewNodeSchema>;
