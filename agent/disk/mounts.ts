import type { Block } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';

/** A device that is mounted or swapped to; `text` is for people: the folder, and whose namespace if it is not the agent's own. */
export type Use = { kname: string; code: 'mounted' | 'swap'; text: string };

type MountLine = { number: string; target: string; source: string };

/** mountinfo and /proc/swaps write blanks, tabs, newlines and backslashes as `\040` (proc_pid_mountinfo(5)). */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Lines of /proc/PID/mountinfo: `36 35 8:1 / /boot rw,noatime shared:1 - ext4 /dev/sda1 rw`. */
function parseMountInfo(text: string): MountLine[] {
  return text.split('\n').flatMap((line) => {
    const [front = '', back = ''] = line.split(' - ');
    const [, , number, , target] = front.split(' ');
    const [, source] = back.split(' ');
    return number && target && source ? [{ number, target: unescape(target), source: unescape(source) }] : [];
  });
}

/** Lines of /proc/swaps after its heading: `/dev/sda3 partition 1048572 0 -2`. */
function parseSwaps(text: string): string[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [path = ''] = line.split(/\s/);
      return path.startsWith('/') ? [unescape(path)] : [];
    });
}

/** The mounts of every namespace, each text once; a process that ended meanwhile has none. */
async function mountTexts({ files }: AgentOs): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const own = await files.read('/proc/self/mountinfo');
  if (own !== undefined) texts.set(own, '');
  const processes = (await files.list('/proc')).filter((name) => /^\d+$/.test(name));
  for (const process of processes) {
    // Mounts have numbers of their own in each namespace, so that equal texts are of one namespace.
    const text = await files.read(`/proc/${process}/mountinfo`);
    if (text !== undefined && !texts.has(text)) texts.set(text, process);
  }
  return texts;
}

async function namespaceOf({ files }: AgentOs, process: string): Promise<string> {
  if (process === '') return '';
  const name = (await files.read(`/proc/${process}/comm`))?.trim();
  return ` in the namespace of process ${process}${name ? ` (${name})` : ''}`;
}

/**
 * Which of these devices are mounted, in any namespace, or swapped to.
 * @param blocks all devices of the machine
 * @param numberOf `8:0` of a kernel name; undefined when the kernel does not say
 */
export async function readUses(
  os: AgentOs,
  blocks: readonly Block[],
  numberOf: (kname: string) => string | undefined,
): Promise<Use[]> {
  const byNumber = new Map(blocks.map(({ kname }) => [numberOf(kname), kname]));
  const knameOf = async (path: string): Promise<string | undefined> => {
    const target = path.startsWith('/dev/') ? ((await os.files.resolve(path)) ?? path) : '';
    return blocks.find(({ kname }) => `/dev/${kname}` === target)?.kname;
  };
  const uses: Use[] = [];
  for (const [text, process] of await mountTexts(os))
    for (const { number, target, source } of parseMountInfo(text)) {
      // btrfs and others have numbers of their own instead of their device's.
      const kname = byNumber.get(number) ?? (await knameOf(source));
      if (kname !== undefined)
        uses.push({ kname, code: 'mounted', text: `is mounted at ${target}${await namespaceOf(os, process)}` });
    }
  for (const path of parseSwaps((await os.files.read('/proc/swaps')) ?? '')) {
    const kname = await knameOf(path);
    if (kname !== undefined) uses.push({ kname, code: 'swap', text: 'is swapped to' });
  }
  return uses;
}
