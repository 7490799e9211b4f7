import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';

/** Whether a value has the form of a schema; keys that the schema does not name are allowed. */
export function matches<T extends TSchema>(schema: T, value: unknown): value is Static<T> {
  return Value.Check(schema, value);
}
