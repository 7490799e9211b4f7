import type { AgentParts } from './parts.ts';
import { reasonOf } from '../system/failure.ts';
import type { AgentOs } from './os/door.ts';

/** While it is there, the ramdisk's DHCP clients leave the network cards alone. */
const LOCKED_MARK = '/run/ingot/locked';

async function takeNetworkDown(os: AgentOs, log: (message: string) => void): Promise<void> {
  if (await os.files.exists('/run/ingot')) {
    await os.files.write(LOCKED_MARK, '').catch((error: unknown) => log(reasonOf(error)));
  }
  for (const name of await os.files.list('/sys/class/net')) {
    if (name === 'lo') continue;
    await os.run('ip', ['link', 'set', name, 'down']).catch((error: unknown) => log(reasonOf(error)));
  }
}

/**
 * Takes every network interface down, and remembers that for an agent that is started again in this boot. Only a ramdisk is
 * locked; another machine is not the agent's own.
 */
export async function lockDown(parts: AgentParts, why: string): Promise<void> {
  const { console, os, store } = parts;
  console.status({ state: 'locked: this agent serves nobody', ...(why !== '' && { error: why }) });
  await store.update({ locked: true });
  await takeNetworkDown(os, console.log);
}
