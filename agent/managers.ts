import type { AgentDeps } from './commands/deps.ts';
import { GENERIC, STEPS } from './commands/table.ts';
import type { StepManager } from './engine/command-table.ts';
import { findContainers } from './plugins/containers.ts';
import { findPlugins, type PluginFinder } from './plugins/find.ts';

/** Everybody whose steps this agent offers on this machine: its own, plug-ins, containers. */
export async function findManagers(finder: PluginFinder, folder?: string): Promise<readonly StepManager<AgentDeps>[]> {
  const plugins = await findPlugins(finder, folder);
  const specs = await Promise.all(plugins.map((plugin) => plugin.steps(finder)));
  const taken = new Set([...STEPS, ...specs.flat()].map(({ step }) => step));
  return [GENERIC, ...plugins, ...(await findContainers(finder.os, taken))];
}
