import type { AgentDeps } from '../../agent/commands/deps.ts';
import { makeConfig } from '../../agent/config/config.ts';
import { fakeOs } from './agent-os.ts';

/** What a command is handed, on a machine of which nothing is real but what the test hands in. */
export function fakeDeps(parts: Partial<AgentDeps> = {}): AgentDeps {
  return {
    os: fakeOs(),
    config: makeConfig(new Map()),
    node: { current: undefined },
    inventory: () => Promise.reject(new Error('not here')),
    refreshNode: async () => undefined,
    recentLog: () => [],
    ...parts,
  };
}
