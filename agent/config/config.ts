import type { Static } from 'typebox';
import { Value } from 'typebox/value';

import { defineFailures } from '../../system/failure.ts';
import { COMMAND_PARAMETERS } from './command-parameters.ts';
import { IRONIC_PARAMETERS } from './ironic-parameters.ts';
import { MACHINE_PARAMETERS } from './machine-parameters.ts';
import { collectSettings, type ConfigSource, type Setting } from './settings.ts';
import type { ParameterSpec } from './values.ts';

/** Everything that can be configured, one row each. */
export const PARAMETERS = { ...IRONIC_PARAMETERS, ...MACHINE_PARAMETERS, ...COMMAND_PARAMETERS } as const;

export type ConfigKey = keyof typeof PARAMETERS;

/** All durations are seconds, as their names say. Absent texts are undefined, absent lists are empty. */
export type AgentConfig = { -readonly [K in ConfigKey]: Static<(typeof PARAMETERS)[K]['schema']> };

export type LoadedConfig = {
  config: AgentConfig;
  /** Where each value that is not a default comes from. */
  origins: Map<string, string>;
  /** What was said and has no effect, each with its reason. */
  notices: string[];
};

export const configFailure = defineFailures({
  BAD_PARAMETER: {
    message: (detail) => `cannot use ${detail}`,
    hint: "correct kernel parameters where the boot entry is made (Ironic: the node's driver_info.kernel_append_params), files where the ramdisk or its virtual media is made",
  },
});

const SPECS: readonly (readonly [string, ParameterSpec])[] = Object.entries(PARAMETERS);

/** An empty text is as good as none; only in a file an empty list is one. */
function isSaid({ text, isParameter }: Setting, spec: ParameterSpec): boolean {
  return text.trim() !== '' || (!isParameter && Array.isArray(spec.default));
}

/** What is wrong with a value; undefined when it can be used. */
function fault(setting: Setting, spec: ParameterSpec, value: unknown): string | undefined {
  if (value !== undefined && Value.Check(spec.schema, value)) return undefined;
  const shown = spec.secret ? '(not shown)' : setting.text;
  // The kernel's line has no numbers to point at.
  const what = setting.isParameter
    ? `${setting.place === KERNEL_LINE ? 'kernel parameter' : `parameter of ${setting.place}`} ${setting.name}=${shown}`
    : `${setting.name}=${shown} (${setting.place})`;
  return `${what}: ${spec.needs} is needed`;
}

export const KERNEL_LINE = 'kernel command line';

/**
 * Puts the sources together; parameters that the table does not know are somebody else's.
 * @param sources the weaker before the stronger
 * @throws Failure `BAD_PARAMETER` that names each value that counts and cannot be used, where it stands, and what is needed
 */
export function loadConfig(sources: readonly ConfigSource[]): LoadedConfig {
  const { settings, notices, problems } = collectSettings(PARAMETERS, sources);
  const faults = [...problems];
  const origins = new Map<string, string>();
  const values = SPECS.map(([key, spec]): [string, unknown] => {
    const said = settings.filter((setting) => setting.key === key && isSaid(setting, spec));
    const strongest = spec.parameterWins ? said.findLast(({ isParameter }) => isParameter) : undefined;
    const last = strongest ?? said.at(-1);
    if (last === undefined) return [key, spec.default];
    const value = spec.read(last.text);
    const wrong = fault(last, spec, value);
    if (wrong !== undefined) faults.push(wrong);
    origins.set(key, last.isParameter ? `${last.place} (${last.name})` : last.place);
    return [key, value];
  });
  if (faults.length > 0) throw configFailure('BAD_PARAMETER', faults.join('\ncannot use '));
  return { config: Object.fromEntries(values) as AgentConfig, origins, notices };
}

/** As `loadConfig`, of nothing but kernel parameters. */
export function makeConfig(parameters: ReadonlyMap<string, string>): AgentConfig {
  return loadConfig([{ kind: 'parameters', name: KERNEL_LINE, values: parameters }]).config;
}
