import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';

import { CommandProgressSchema } from '../api/command.ts';
import { AGENT_ERRORS, AgentError, type AgentErrorType } from '../api/errors.ts';
import { STEP_ERRORS } from '../engine/steps.ts';
import type { StepKind, StepRequest } from '../engine/command-table.ts';

const ErrorSchema = Type.Object({ type: Type.Optional(Type.String()), details: Type.String() });

/** What a step may say on its standard output, one JSON object a line; any other line is for the log. */
const SayingSchema = Type.Union([
  Type.Object({ progress: CommandProgressSchema }, { additionalProperties: false }),
  Type.Object({ result: Type.Unknown() }, { additionalProperties: false }),
  Type.Object({ error: ErrorSchema }, { additionalProperties: false }),
]);
export type Saying = Static<typeof SayingSchema>;
export type StepFailure = Static<typeof ErrorSchema>;

/** @returns undefined for a line that is for the log */
export function readSaying(line: string): Saying | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return Value.Check(SayingSchema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Exit codes with a meaning of their own (sysexits.h: EX_USAGE, EX_UNAVAILABLE). */
const EXIT_ERRORS: Readonly<Record<number, AgentErrorType>> = {
  64: 'InvalidCommandParamsError',
  69: 'IncompatibleHardwareMethodError',
};

/**
 * How a step failed, as Ironic reads it.
 * @param said by the step itself
 * @param how "ended with exit code 3"
 * @param lastWords last lines of its standard error
 */
export function stepFailure(
  kind: StepKind,
  step: string,
  end: { exitCode: number | null; how: string; said: StepFailure | undefined; lastWords: readonly string[] },
): AgentError {
  const { said, lastWords } = end;
  const known = said?.type !== undefined && Object.hasOwn(AGENT_ERRORS, said.type);
  const byExit = end.exitCode === null ? undefined : EXIT_ERRORS[end.exitCode];
  const type = known ? (said.type as AgentErrorType) : (byExit ?? STEP_ERRORS[kind]);
  const unknown = said?.type === undefined || known ? '' : `${said.type}: `;
  const words = said?.details ?? lastWords.join('\n');
  return new AgentError(type, `step ${step} ${end.how}${words === '' ? '' : `: ${unknown}${words}`}`);
}

/** More than this of one argument goes by standard input alone: the kernel takes no more than 128 KiB of one. */
const LONGEST_VARIABLE = 32 * 1024;

/** The request for scripts that had rather not read JSON: `INGOT_ARG_version=1.2`; what is no text stands there as JSON. */
export function requestVariables(step: string, { kind, node, args }: StepRequest): Record<string, string> {
  const texts = Object.entries(args).flatMap(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return text.length > LONGEST_VARIABLE || text.includes('\0') ? [] : [[`INGOT_ARG_${name}`, text]];
  });
  return { INGOT_STEP: step, INGOT_KIND: kind, INGOT_NODE_UUID: node.uuid, ...Object.fromEntries(texts) };
}
