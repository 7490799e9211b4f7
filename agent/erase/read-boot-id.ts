import type { AgentOs } from '../os/door.ts';

/** Which boot of the machine this is, as the kernel calls it (random(4)); evidence of one boot has one key. */
export async function readBootId({ files }: Pick<AgentOs, 'files'>): Promise<string | null> {
  return (await files.read('/proc/sys/kernel/random/boot_id'))?.trim() ?? null;
}
