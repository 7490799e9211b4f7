import { type Block, withAncestors } from '../hardware/lsblk.ts';
import { mdadm } from '../hardware/md.ts';
import type { AgentOs } from '../os/door.ts';

/** An array that the kernel has, running or not. All of it are device paths. */
export type MdArray = {
  device: string;
  /** The name that it was given when it was made, without the host's. */
  name: string | undefined;
  /** Members: partitions or disks. */
  members: string[];
  /** The disks that these are on, each once. */
  disks: string[];
};

/** `MD_NAME=host:root` lines of `mdadm --detail --export` or `--examine --export`. */
export function parseExport(output: string): ReadonlyMap<string, string> {
  return new Map(
    output.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1).trim()] as const] : [];
    }),
  );
}

/** The name without the host that it was made on. */
function nameIn(facts: ReadonlyMap<string, string>): string | undefined {
  return facts.get('MD_NAME')?.replace(/^.*:/s, '') || undefined;
}

async function nameOf(os: AgentOs, device: string, members: readonly string[]): Promise<string | undefined> {
  const questions = [['--detail', '--export', device], ...members.map((one) => ['--examine', '--export', one])];
  for (const args of questions) {
    const name = nameIn(parseExport(await mdadm(os, args).catch(() => '')));
    if (name !== undefined) return name;
  }
  return undefined;
}

/** The disk that a partition is on, or the disk itself. */
function diskOf(blocks: readonly Block[], kname: string): string {
  const above = withAncestors(blocks, kname);
  return (above.find(({ type }) => type === 'mpath') ?? above.find(({ type }) => type === 'disk'))?.kname ?? kname;
}

/** All arrays, by what the kernel says: also those that do not run, which lsblk leaves out. */
export async function listArrays(os: AgentOs, blocks: readonly Block[]): Promise<MdArray[]> {
  const knames = (await os.files.list('/sys/block')).filter((name) => /^md(?:\d|_)/.test(name));
  const arrays: MdArray[] = [];
  for (const kname of knames.toSorted()) {
    const slaves = (await os.files.list(`/sys/block/${kname}/slaves`)).toSorted();
    // A device without members is what is left of an array that was stopped.
    if (slaves.length === 0) continue;
    const members = slaves.map((slave) => `/dev/${slave}`);
    const device = `/dev/${kname}`;
    arrays.push({
      device,
      name: await nameOf(os, device, members),
      members,
      disks: [...new Set(slaves.map((slave) => `/dev/${diskOf(blocks, slave)}`))],
    });
  }
  return arrays;
}
