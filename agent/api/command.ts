import { Type, type Static } from 'typebox';

import { CommandErrorSchema } from './errors.ts';

export const COMMAND_STATUSES = ['RUNNING', 'SUCCEEDED', 'FAILED', 'CLEAN_VERSION_MISMATCH'] as const;
export type CommandStatus = (typeof COMMAND_STATUSES)[number];

/** Body of `POST /v1/commands/`. `name` is `extension.command`. */
export const CommandRequestSchema = Type.Object({
  name: Type.String(),
  params: Type.Record(Type.String(), Type.Unknown()),
});
export type CommandRequest = Static<typeof CommandRequestSchema>;

/** How far a running command is. An extra field of the result that Ironic ignores. */
export const CommandProgressSchema = Type.Object({
  phase: Type.String(),
  done: Type.Optional(Type.Number()),
  total: Type.Optional(Type.Number()),
  unit: Type.Optional(Type.String()),
  /** Units per second since the phase began. */
  rate: Type.Optional(Type.Number()),
  message: Type.Optional(Type.String()),
});
export type CommandProgress = Static<typeof CommandProgressSchema>;

/** A command result as the agent serialises it (IPA `extensions/base.py` serialize). */
export const CommandResultSchema = Type.Object({
  id: Type.String(),
  command_name: Type.String(),
  command_status: Type.Union(COMMAND_STATUSES.map((status) => Type.Literal(status))),
  command_error: Type.Union([CommandErrorSchema, Type.Null()]),
  command_result: Type.Unknown(),
  progress: Type.Optional(CommandProgressSchema),
});
export type CommandResult = Omit<Static<typeof CommandResultSchema>, 'command_status'> & {
  command_status: CommandStatus;
};

export const CommandListSchema = Type.Object({ commands: Type.Array(CommandResultSchema) });

/** Body of every HTTP answer of 400 and above; the conductor needs `faultstring` to be a string. */
export const FaultSchema = Type.Object({
  faultcode: Type.Union([Type.Literal('Client'), Type.Literal('Server')]),
  faultstring: Type.String(),
});

/** A clean, deploy or service step as the agent offers it. */
export const StepSchema = Type.Object({
  step: Type.String(),
  priority: Type.Integer(),
  interface: Type.String(),
  reboot_requested: Type.Boolean(),
  abortable: Type.Boolean(),
  argsinfo: Type.Optional(
    Type.Record(Type.String(), Type.Object({ description: Type.String(), required: Type.Optional(Type.Boolean()) })),
  ),
});
export type Step = Static<typeof StepSchema>;

/** A step as the conductor asks for it; it may carry more fields, which are echoed back whole. */
export const RequestedStepSchema = Type.Object({
  step: Type.String(),
  interface: Type.Optional(Type.String()),
  args: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
});
export type RequestedStep = Static<typeof RequestedStepSchema> & Record<string, unknown>;

/** The part of a node object that the agent reads; the conductor sends the whole. */
export const NodeSchema = Type.Object({
  uuid: Type.String(),
  properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  instance_info: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  raid_config: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  target_raid_config: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
  driver_info: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  driver_internal_info: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
export type Node = Static<typeof NodeSchema>;
