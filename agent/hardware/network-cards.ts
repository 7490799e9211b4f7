import type { AgentOs } from '../os/door.ts';

const ETHERNET = '1';

/** Ethernet interfaces that are hardware, those below bonds as well, by name; VLANs and bonds get no frames of their own. */
export async function listNetworkCards(os: Pick<AgentOs, 'files'>): Promise<string[]> {
  const names = (await os.files.list('/sys/class/net')).toSorted();
  const found = await Promise.all(
    names.map(async (name) => {
      const isHardware = await os.files.exists(`/sys/class/net/${name}/device`);
      return isHardware && (await os.files.read(`/sys/class/net/${name}/type`))?.trim() === ETHERNET;
    }),
  );
  return names.filter((_, at) => found[at]);
}
