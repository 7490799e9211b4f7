import { Value } from 'typebox/value';

import { type AgentConfig, PARAMETERS } from './config.ts';
import { type ParameterSpec, showValue } from './values.ts';

/** What a server changed, and what of its wishes was not taken. */
export type Overrides = { changed: Record<string, unknown>; problems: string[] };

const SPECS: readonly (readonly [string, ParameterSpec])[] = Object.entries(PARAMETERS);

/** A value as a server writes it, JSON or text, to one of ours. */
function accept(spec: ParameterSpec, value: unknown): unknown {
  return typeof value === 'string' ? spec.read(value) : value;
}

function take(
  config: AgentConfig,
  made: Overrides,
  key: string,
  spec: ParameterSpec,
  name: string,
  raw: unknown,
): void {
  const value = accept(spec, raw);
  if (value === undefined || !Value.Check(spec.schema, value)) {
    made.problems.push(`${name}=${spec.secret ? '(not shown)' : showValue(raw)} is not used: ${spec.needs} is needed`);
  } else if (showValue(config[key as keyof AgentConfig]) !== showValue(value)) {
    made.changed[key] = value;
    Object.assign(config, { [key]: value });
  }
}

function fieldOf(fields: Record<string, unknown>, path: string): unknown {
  let value: unknown = fields;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/**
 * Changes the configuration as the lookup's `config` says. Absent, null and empty fields change nothing, and a bad value is no
 * reason to leave the node alone: it is named and left out.
 */
export function applyLookup(config: AgentConfig, fields: Record<string, unknown>): Overrides {
  const made: Overrides = { changed: {}, problems: [] };
  for (const [key, spec] of SPECS) {
    if (spec.lookup === undefined) continue;
    const value = fieldOf(fields, spec.lookup);
    if (value === undefined || value === null || value === '') continue;
    // Ironic says false where nobody decided, which must not undo what a file of this ramdisk allows.
    if (key === 'enableBiosBootloaderInstall' && value !== true) continue;
    take(config, made, key, spec, spec.lookup, value);
  }
  const containers = fields['agent_containers'];
  const known = SPECS.flatMap(([, { lookup }]) =>
    lookup?.startsWith('agent_containers.') ? lookup.split('.')[1] : [],
  );
  if (typeof containers === 'object' && containers !== null) {
    for (const name of Object.keys(containers).filter((name) => !known.includes(name)))
      made.problems.push(`agent_containers.${name} is not used: this agent does not know it`);
  }
  return made;
}

/**
 * Changes the configuration as a TXT record of mDNS says: `ipa_<option>`, and only what mdnsAllowedOverrides names, because
 * anybody in the network can answer.
 */
export function applyMdns(config: AgentConfig, records: ReadonlyMap<string, string>): Overrides {
  const made: Overrides = { changed: {}, problems: [] };
  for (const [name, text] of records) {
    if (!name.startsWith('ipa_')) {
      made.problems.push(`${name} is not used: options begin with ipa_`);
      continue;
    }
    const option = name.slice('ipa_'.length);
    const row = SPECS.find(([, spec]) => spec.option === option && spec.group === undefined);
    if (!config.mdnsAllowedOverrides.includes(option))
      made.problems.push(`${name} is not used: ${option} is not in [mdns] allowed_overrides`);
    else if (row === undefined) made.problems.push(`${name} is not used: this agent does not know ${option}`);
    else take(config, made, row[0], row[1], name, text);
  }
  return made;
}
