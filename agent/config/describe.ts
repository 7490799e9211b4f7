import { type AgentConfig, type LoadedConfig, PARAMETERS } from './config.ts';
import { type ParameterSpec, showValue } from './values.ts';

const TABLE: Readonly<Record<string, ParameterSpec>> = PARAMETERS;

/** What people call a row of the table: its option, else its kernel parameter or its field of the lookup. */
export function describeKey(key: string): string {
  const { group, option, parameter, lookup } = TABLE[key] ?? {};
  if (option === undefined) return parameter ?? lookup ?? key;
  return group === undefined ? option : `[${group}] ${option}`;
}

/** A value as text; what is secret is not in it. */
export function showSetting(key: string, value: unknown): string {
  if (TABLE[key]?.secret && value !== undefined) return '***';
  return showValue(value).replaceAll(/\/\/[^/@,]+@/g, '//***@'); // user and password of a URL
}

/** One value that the agent goes by. */
export type EffectiveSetting = { name: string; value: string; from: string };

/** Settings that a server changed while the agent ran, by key. */
export type StoredOverrides = Readonly<Record<string, { value: unknown; by: string }>>;

/** Every value with its source, in the order of the table. */
export function effectiveSettings(loaded: LoadedConfig, overrides: StoredOverrides = {}): EffectiveSetting[] {
  return Object.keys(TABLE).map((key) => {
    const name = describeKey(key);
    const changed = overrides[key];
    if (changed !== undefined) return { name, value: showSetting(key, changed.value), from: changed.by };
    const value = showSetting(key, loaded.config[key as keyof AgentConfig]);
    return { name, value, from: loaded.origins.get(key) ?? 'default' };
  });
}
