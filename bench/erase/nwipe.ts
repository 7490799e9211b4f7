import { layOutTools, resolveTools } from '../../builder/sysroot.ts';
import type { BenchBasics } from '../report-command.ts';

export type Nwipe = { folder: string; version: string };

/** Debian's nwipe and what it asks of its system, unpacked into the cache: nothing is installed. */
export async function findNwipe(options: Pick<BenchBasics, 'host' | 'mirror' | 'progress' | 'signal'>): Promise<Nwipe> {
  const packages = await resolveTools({
    ...options,
    packages: ['nwipe', 'dash', 'debianutils', 'coreutils', 'kmod', 'hdparm', 'smartmontools'],
  });
  const version = packages.find(({ name }) => name === 'nwipe')?.version ?? 'unknown';
  return { folder: await layOutTools(options, packages), version };
}
