import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';

import { AgentError } from '../api/errors.ts';

type ObjectSchema = {
  properties?: Record<string, TSchema>;
  required?: readonly string[];
  additionalProperties?: boolean | TSchema;
};

/**
 * Refuses parameters that are missing or that the command does not know. Ironic takes the type `TypeError` as the sign
 * of an agent that is older than itself and asks again with fewer parameters, so the type must stay.
 * @param name short command name, for the message
 * @returns an AgentError `TypeError`, or undefined when all is well
 */
export function paramNamesError(
  name: string,
  schema: TSchema,
  params: Record<string, unknown>,
): AgentError | undefined {
  const { properties = {}, required = [], additionalProperties } = schema as ObjectSchema;
  const known = Object.keys(properties);
  const takes = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`;
  const unknown = Object.keys(params).filter((key) => !Object.hasOwn(properties, key));
  if (unknown.length > 0 && (additionalProperties === undefined || additionalProperties === false)) {
    return new AgentError('TypeError', `cannot run ${name}: unknown parameter ${unknown.join(', ')}; ${takes}`);
  }
  const missing = required.filter((key) => !Object.hasOwn(params, key));
  if (missing.length === 0) return undefined;
  return new AgentError('TypeError', `cannot run ${name}: missing parameter ${missing.join(', ')}; ${takes}`);
}

/**
 * Refuses values of the wrong kind, naming the place and never the value, which may be a secret.
 * @throws AgentError `InvalidCommandParamsError`
 */
export function checkParamValues(name: string, schema: TSchema, params: Record<string, unknown>): void {
  if (Value.Check(schema, params)) return;
  const errors = Value.Errors(schema, params);
  // A union reports each of its members and then itself; the shortest path's last word is the one that helps.
  const first = errors[0];
  const where = first?.instancePath.replace(/^\//, '').replaceAll('/', '.') || 'params';
  const what = errors.filter((error) => error.instancePath === first?.instancePath).map((error) => error.message);
  const why = what.filter((message) => !message.includes('anyOf')).join(' or ');
  throw new AgentError('InvalidCommandParamsError', `cannot run ${name}: ${where} ${why || 'is not valid'}`);
}
