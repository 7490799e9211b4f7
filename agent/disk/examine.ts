import { reasonOf } from '../../system/failure.ts';
import type { DiskModel, Storage } from '../hardware/disk-model.ts';
import { readStorage } from '../hardware/disks.ts';
import { type DiskLimits, readLimits } from '../hardware/limits.ts';
import { type NvmeNamespace, readNvme } from '../hardware/nvme.ts';
import type { AgentOs } from '../os/door.ts';
import { type Content, readContents } from './contents.ts';
import { type Identity, readIdentity } from './identity.ts';
import { readUses, type Use } from './mounts.ts';
import { withDevice } from './partitions.ts';

/** A content and the device (kernel name) that it is on. */
export type FoundContent = Content & { kname: string };

/** A disk with all that whoever means to change it must know first. Only such a disk can be handed to the guard. */
export type ExaminedDisk = DiskModel & {
  /** Mounts and swaps of the disk and of everything on it. */
  uses: Use[];
  contents: FoundContent[];
  /** Devices that could not be looked into, and why: what they hold is not known. */
  unreadable: { kname: string; why: string }[];
  limits: DiskLimits;
  /** Compared right before something is destroyed: names such as /dev/sda are given anew. */
  identity: Identity;
  /** Undefined for a disk that is no NVMe namespace. */
  nvme: NvmeNamespace | undefined;
};

async function lookInto(os: AgentOs, kname: string): Promise<FoundContent[]> {
  const found = await withDevice(os, `/dev/${kname}`, 'read', (device) => readContents(device));
  return found.map((content) => ({ ...content, kname }));
}

/** Devices of a family that can have contents of their own: of some size, and not one and the same medium twice. */
function worthLooking({ family, paths, kname }: DiskModel) {
  return family.filter((block) => (block.size ?? 0) > 0 && (block.kname === kname || !paths.includes(block.kname)));
}

async function examine(os: AgentOs, model: DiskModel, allUses: readonly Use[]): Promise<ExaminedDisk> {
  const contents: FoundContent[] = [];
  const unreadable: { kname: string; why: string }[] = [];
  for (const { kname } of worthLooking(model)) {
    try {
      contents.push(...(await lookInto(os, kname)));
    } catch (error) {
      unreadable.push({ kname, why: reasonOf(error) });
    }
  }
  const [limits, nvme, identity] = await Promise.all([
    readLimits(os, model.kname),
    readNvme(os, model.kname),
    readIdentity(os.files, model.kname),
  ]);
  const names = new Set(model.family.map(({ kname }) => kname));
  const uses = allUses.filter(({ kname }) => names.has(kname));
  return { ...model, uses, contents, unreadable, limits, identity, nvme };
}

async function numbers(os: AgentOs, { blocks }: Storage): Promise<Map<string, string>> {
  const found = await Promise.all(
    blocks.map(async ({ kname, 'maj:min': number }) => {
      const text = number ?? (await os.files.read(`/sys/class/block/${kname}/dev`));
      return [kname, text?.trim() ?? ''] as const;
    }),
  );
  return new Map(found.filter(([, number]) => number !== ''));
}

/**
 * Looks closely at some disks: their mounts in every namespace, and what their first and last bytes and those of everything on them
 * hold. Reads only. Disks are looked at side by side, so that a slow one holds nobody up.
 */
export async function examineDisks(
  os: AgentOs,
  storage: Storage,
  disks: readonly DiskModel[] = storage.disks,
): Promise<ExaminedDisk[]> {
  const known = await numbers(os, storage);
  const uses = await readUses(os, storage.blocks, (kname) => known.get(kname));
  return Promise.all(disks.map((disk) => examine(os, disk, uses)));
}

/**
 * The disk that a device is, or is a part of, examined as it is now.
 * @param path `/dev/sda`, or a partition of it
 * @returns undefined when there is none
 * @throws AgentError `BlockDeviceError` when lsblk cannot be read
 */
export async function examineDevice(os: AgentOs, path: string): Promise<ExaminedDisk | undefined> {
  const storage = await readStorage(os);
  const disk =
    storage.disks.find((one) => one.disk.name === path) ??
    storage.disks.find((one) => one.family.some(({ kname }) => `/dev/${kname}` === path));
  if (disk === undefined) return undefined;
  const [examined] = await examineDisks(os, storage, [disk]);
  return examined;
}
