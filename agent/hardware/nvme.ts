import type { AgentOs } from '../os/door.ts';

/** A namespace of an NVMe subsystem and its neighbours, from sysfs (kernel `drivers/nvme/host/sysfs.c`). */
export type NvmeNamespace = {
  namespaceId: number | null;
  /** `/dev/nvme0`, …: the controllers through which it is reached, more than one with multipath. */
  controllers: string[];
  /** NVMe Qualified Name of the subsystem. */
  subsystem: string | null;
  /** Other namespaces of the same subsystem: a sanitize, and often a format, erases them, too. */
  neighbours: string[];
  transport: string | null;
  model: string | null;
  serial: string | null;
  firmware: string | null;
};

const NAMESPACE = /^nvme\d+n\d+$/;
const CONTROLLER = /^nvme\d+$/;

/**
 * @param kname kernel name of a disk
 * @returns undefined when it is no NVMe namespace
 */
export async function readNvme({ files }: Pick<AgentOs, 'files'>, kname: string): Promise<NvmeNamespace | undefined> {
  if (!NAMESPACE.test(kname)) return undefined;
  const text = async (path: string) => (await files.read(path))?.trim() || null;
  const block = `/sys/class/block/${kname}`;
  // A namespace's device is its controller, or, with the kernel's own multipath, its subsystem.
  const nqn = await text(`${block}/device/subsysnqn`);
  const all = (await files.list('/sys/class/nvme')).filter((name) => CONTROLLER.test(name)).toSorted();
  const of = async (name: string) => {
    const own = await text(`/sys/class/nvme/${name}/subsysnqn`);
    // Before Linux 4.15 there is no name to compare, but then no multipath either.
    return nqn === null ? kname.startsWith(`${name}n`) : own === nqn;
  };
  const mine = await Promise.all(all.map(of));
  const controllers = all.filter((_, index) => mine[index]);
  const lists = await Promise.all(
    [`${block}/device`, ...controllers.map((name) => `/sys/class/nvme/${name}`)].map((path) => files.list(path)),
  );
  const neighbours = [...new Set(lists.flat())].filter((name) => NAMESPACE.test(name) && name !== kname).toSorted();
  const [first] = controllers;
  const about = (name: string) => (first === undefined ? null : text(`/sys/class/nvme/${first}/${name}`));
  const nsid = await text(`${block}/nsid`);
  return {
    namespaceId: nsid !== null && /^\d+$/.test(nsid) ? Number(nsid) : null,
    controllers: controllers.map((name) => `/dev/${name}`),
    subsystem: nqn,
    neighbours: neighbours.map((name) => `/dev/${name}`),
    transport: await about('transport'),
    model: await about('model'),
    serial: await about('serial'),
    firmware: await about('firmware_rev'),
  };
}
