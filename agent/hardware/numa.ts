import type { AgentOs } from '../os/door.ts';

const NODES = '/sys/devices/system/node';

type Core = { cpu: number; numa_node: number; thread_siblings: number[] };

/** IPA's shape. `cpu` is the core's number inside its socket, `thread_siblings` are the kernel's numbers of its threads. */
export type NumaTopology = {
  ram: { numa_node: number; size_kb: number }[];
  cpus: Core[];
  nics: { name: string; numa_node: number }[];
};

/** Names such as node0, cpu12 to their numbers, ascending. */
function numbered(names: readonly string[], prefix: string): number[] {
  return names
    .flatMap((name) => (name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? [name] : []))
    .map((name) => Number(name.slice(prefix.length)))
    .toSorted((a, b) => a - b);
}

/** `Node 0 MemTotal:  1560000 kB` among the lines of a node's meminfo, kB. */
export function nodeMemoryKb(meminfo: string): number | undefined {
  const match = /MemTotal:\s*(\d+)\s*kB/.exec(meminfo);
  return match ? Number(match[1]) : undefined;
}

async function readInteger(os: Pick<AgentOs, 'files'>, path: string): Promise<number | undefined> {
  const text = (await os.files.read(path))?.trim() ?? '';
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** Threads of one node by core. Two sockets in one node number their cores alike, so that the socket counts, too. */
async function coresOf(os: Pick<AgentOs, 'files'>, node: number): Promise<Core[] | undefined> {
  const cores = new Map<string, Core>();
  for (const thread of numbered(await os.files.list(`${NODES}/node${node}`), 'cpu')) {
    const topology = `${NODES}/node${node}/cpu${thread}/topology`;
    const core = await readInteger(os, `${topology}/core_id`);
    if (core === undefined) return undefined;
    const key = `${await readInteger(os, `${topology}/physical_package_id`)} ${core}`;
    const known = cores.get(key);
    if (known) known.thread_siblings.push(thread);
    else cores.set(key, { cpu: core, numa_node: node, thread_siblings: [thread] });
  }
  return [...cores.values()];
}

/** Which memory, cores and network cards are near to each other; undefined where the kernel does not say (as IPA leaves it out). */
export async function readNumaTopology(os: Pick<AgentOs, 'files'>): Promise<NumaTopology | undefined> {
  const nodes = numbered(await os.files.list(NODES), 'node');
  if (nodes.length === 0) return undefined;
  const topology: NumaTopology = { ram: [], cpus: [], nics: [] };
  for (const node of nodes) {
    const size = nodeMemoryKb((await os.files.read(`${NODES}/node${node}/meminfo`)) ?? '');
    const cores = await coresOf(os, node);
    if (size === undefined || cores === undefined) return undefined;
    topology.ram.push({ numa_node: node, size_kb: size });
    topology.cpus.push(...cores);
  }
  for (const name of (await os.files.list('/sys/class/net')).toSorted()) {
    const node = await readInteger(os, `/sys/class/net/${name}/device/numa_node`);
    if (node !== undefined) topology.nics.push({ name, numa_node: node });
  }
  return topology;
}

/** The collector numa-topology. */
export async function collectNumaTopology(
  os: Pick<AgentOs, 'files'>,
  log: (message: string) => void,
): Promise<Record<string, unknown>> {
  const topology = await readNumaTopology(os);
  if (topology) return { numa_topology: topology };
  log('inspection goes without NUMA topology: the kernel shows none');
  return {};
}
