import type { Static } from 'typebox';
import { Value } from 'typebox/value';

import { defineFailures } from '../../system/failure.ts';
import { COMMAND_PARAMETERS } from './command-parameters.ts';
import { IRONIC_PARAMETERS } from './ironic-parameters.ts';
import { MACHINE_PARAMETERS } from './machine-parameters.ts';
import type { ParameterSpec } from './values.ts';

/** Everything that can be configured, one row each. */
export const PARAMETERS = { ...IRONIC_PARAMETERS, ...MACHINE_PARAMETERS, ...COMMAND_PARAMETERS } as const;

type Key = keyof typeof PARAMETERS;

/** All durations are seconds, as their names say. Absent texts are undefined, absent lists are empty. */
export type AgentConfig = { -readonly [K in Key]: Static<(typeof PARAMETERS)[K]['schema']> };

export const configFailure = defineFailures({
  BAD_PARAMETER: {
    message: (detail) => `cannot use kernel parameter ${detail}`,
    hint: "correct it where the boot entry is made (Ironic: the node's driver_info.kernel_append_params)",
  },
});

function readParameter(spec: ParameterSpec, text: string): unknown {
  if (text.trim() === '') return spec.default;
  const value = spec.read(text);
  if (value !== undefined && Value.Check(spec.schema, value)) return value;
  const shown = spec.secret ? '(not shown)' : text;
  throw configFailure('BAD_PARAMETER', `${spec.parameter}=${shown}: ${spec.needs} is needed`);
}

/**
 * Kernel parameters to the agent's configuration; parameters that the table does not know are somebody else's.
 * @throws Failure `BAD_PARAMETER` that names the parameter, its value and what is needed
 */
export function makeConfig(parameters: ReadonlyMap<string, string>): AgentConfig {
  return Object.fromEntries(
    Object.entries<ParameterSpec>(PARAMETERS).map(([key, spec]) => {
      const text = spec.parameter === undefined ? undefined : parameters.get(spec.parameter);
      return [key, text === undefined ? spec.default : readParameter(spec, text)];
    }),
  ) as AgentConfig;
}
