import { effectiveSettings, type EffectiveSetting } from './config/describe.ts';
import { loadAll } from './config/load.ts';
import type { AgentOs } from './os/door.ts';
import { openState } from './state.ts';

/** The values for people: those that somebody set first, then what is at its default. */
export function describeSettings(settings: readonly EffectiveSetting[], notices: readonly string[]): string {
  const width = Math.max(...settings.map(({ name }) => name.length));
  const row = ({ name, value, from }: EffectiveSetting): string =>
    `  ${name.padEnd(width)}  ${value || '-'}${from === 'default' ? '' : `  (${from})`}`;
  const isSet = ({ from }: EffectiveSetting): boolean => from !== 'default';
  return [
    'set',
    ...settings.filter(isSet).map(row),
    'default',
    ...settings.filter((setting) => !isSet(setting)).map(row),
    ...(notices.length === 0 ? [] : ['without effect', ...notices.map((notice) => `  ${notice}`)]),
    '',
  ].join('\n');
}

/**
 * `ingot-agent config [--json]`: what the agent of this machine goes by and where each value comes from. Secrets are masked;
 * nothing is mounted or changed.
 */
export async function showConfig(options: {
  os: AgentOs;
  kernelParameters: string | undefined;
  stateDirectory: string;
  stdout: { write: (text: string) => unknown };
  json: boolean;
}): Promise<number> {
  const { os, stdout, stateDirectory } = options;
  const loaded = await loadAll(os, { kernelParameters: options.kernelParameters, useMedia: false });
  const hasState = await os.files.exists(stateDirectory);
  const overrides = hasState ? (await openState(os.files, stateDirectory)).state().overrides : undefined;
  const settings = effectiveSettings(loaded, overrides);
  const { notices } = loaded;
  stdout.write(
    options.json ? `${JSON.stringify({ settings, notices }, null, 1)}\n` : describeSettings(settings, notices),
  );
  return 0;
}
