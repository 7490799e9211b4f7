import { AgentError } from '../api/errors.ts';
import type { BootMode, DiskLabel } from '../hardware/boot-mode.ts';

const MIB = 1024 ** 2;
/** Entries of a GPT: 128 of 128 bytes, which every program writes and the kernel reads (UEFI 2.10, 5.3.1). */
export const GPT_ENTRIES_BYTES = 128 * 128;
/** An MBR counts sectors in 32 bits. */
export const MBR_SECTORS = 2 ** 32 - 1;

/**
 * What partitions of a partition image are for, in the order in which they stand on the disk: the root is last, so that the system can
 * let it grow. The names are those of ironic-python-agent's `partitions` (agent-protocol I.6).
 */
export const PARTITION_KINDS = {
  'efi system partition': { gpt: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B', mbr: 0xef, name: 'efi-part' },
  'BIOS Boot partition': { gpt: '21686148-6449-6E6F-744E-656564454649', mbr: 0xda, name: 'bios-boot' },
  ephemeral: { gpt: '0FC63DAF-8483-4772-8E79-3D69D8477DE4', mbr: 0x83, name: 'ephemeral0' },
  swap: { gpt: '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F', mbr: 0x82, name: 'swap1' },
  configdrive: { gpt: '0FC63DAF-8483-4772-8E79-3D69D8477DE4', mbr: 0x83, name: 'configdrive' },
  root: { gpt: '0FC63DAF-8483-4772-8E79-3D69D8477DE4', mbr: 0x83, name: 'root' },
} as const satisfies Record<string, { gpt: string; mbr: number; name: string }>;
export type PartitionRole = keyof typeof PARTITION_KINDS;
export const ROLES = Object.keys(PARTITION_KINDS) as PartitionRole[];

export type PlannedPartition = { role: PartitionRole; number: number; startSector: number; sectors: number };
export type Layout = { label: DiskLabel; partitions: PlannedPartition[] };

/** Sizes in MiB; a partition of 0 is not made. */
export type LayoutWish = {
  label: DiskLabel;
  bootMode: BootMode;
  rootMib: number;
  swapMib: number;
  ephemeralMib: number;
  configDriveMib: number;
  efiMib: number;
  biosBootMib: number;
};

/** A range of sectors. */
export type SectorRange = { start: number; count: number };

type Geometry = { path: string; sizeBytes: number; sectorBytes: number };

function wantedSizes(wish: LayoutWish): Record<PartitionRole, number> {
  const { bootMode, label } = wish;
  return {
    'efi system partition': bootMode === 'uefi' ? wish.efiMib : 0,
    // GRUB's second stage, which on an MBR lies between the table and the first partition.
    'BIOS Boot partition': bootMode === 'bios' && label === 'gpt' ? wish.biosBootMib : 0,
    ephemeral: wish.ephemeralMib,
    swap: wish.swapMib,
    configdrive: wish.configDriveMib,
    root: wish.rootMib,
  };
}

/** The first sector that no partition may have. */
function endOfUsable({ sizeBytes, sectorBytes }: Geometry, label: DiskLabel): number {
  const sectors = Math.floor(sizeBytes / sectorBytes);
  return label === 'gpt' ? sectors - 1 - GPT_ENTRIES_BYTES / sectorBytes : Math.min(sectors, MBR_SECTORS);
}

/** What a layout needs of a disk, for people. */
function showWish(partitions: readonly PlannedPartition[], sectorBytes: number): string {
  return partitions.map(({ role, sectors }) => `${role} ${(sectors * sectorBytes) / MIB} MiB`).join(', ');
}

/**
 * Where the partitions of a partition image go (agent-protocol I.6): one after the other from the first MiB on, all of them of whole MiB.
 * @throws AgentError `DeploymentError` when the disk has no room for them, or an MBR cannot describe them
 */
export function planLayout(wish: LayoutWish, disk: Geometry): Layout {
  const sectorsPerMib = MIB / disk.sectorBytes;
  const sizes = wantedSizes(wish);
  const partitions: PlannedPartition[] = [];
  let next = sectorsPerMib;
  for (const role of ROLES) {
    const sectors = sizes[role] * sectorsPerMib;
    if (sectors === 0) continue;
    partitions.push({ role, number: partitions.length + 1, startSector: next, sectors });
    next += sectors;
  }
  const end = endOfUsable(disk, wish.label);
  const room = Math.max(0, Math.floor(((end - sectorsPerMib) * disk.sectorBytes) / MIB));
  if (next > end) {
    const isMbrsFault = wish.label === 'msdos' && next <= Math.floor(disk.sizeBytes / disk.sectorBytes);
    throw new AgentError(
      'DeploymentError',
      `cannot partition ${disk.path}: ${showWish(partitions, disk.sectorBytes)} need more than the ${room} MiB that ${isMbrsFault ? 'an MBR can name; set the capability disk_label to gpt' : 'it has; choose a larger disk, or ask for less'}`,
    );
  }
  return { label: wish.label, partitions };
}

/** A partition that a table names. `startSector` and `sectors` count the disk's own sectors. */
export type TableEntry = { number: number; startSector: number; sectors: number; partuuid: string };

/**
 * Finds the partitions of a plan in the table that the disk has, for a node whose ephemeral partition is to be kept: nothing of the
 * table changes, so every partition must be there already, as large as it is needed.
 * @param entries of the table, in the order of their numbers
 * @throws AgentError `DeploymentError` that names what differs
 */
export function matchLayout(plan: Layout, entries: readonly TableEntry[], disk: Geometry): Layout {
  const refuse = (why: string) =>
    new AgentError(
      'DeploymentError',
      `cannot keep the ephemeral partition of ${disk.path}: ${why}; deploy without preserve_ephemeral, which erases it`,
    );
  const toMib = (sectors: number) => (sectors * disk.sectorBytes) / MIB;
  if (entries.length !== plan.partitions.length)
    throw refuse(
      `its table has ${entries.length} partitions, and ${showWish(plan.partitions, disk.sectorBytes)} are needed`,
    );
  const partitions = plan.partitions.map((wanted, index) => {
    const found = entries[index];
    if (!found) throw refuse(`partition ${index + 1} is missing`);
    const { role } = wanted;
    // A config drive may shrink. Another size of the others means that this is not the table which was made for this node; parted, by
    // which IPA made it, aligns to what the disk likes best.
    const differs = Math.abs(toMib(found.sectors - wanted.sectors));
    const fits = role === 'configdrive' ? found.sectors >= wanted.sectors : differs <= 1;
    if (!fits)
      throw refuse(
        `partition ${found.number} has ${toMib(found.sectors)} MiB, and ${role} should have ${toMib(wanted.sectors)} MiB`,
      );
    return { ...wanted, number: found.number, startSector: found.startSector, sectors: found.sectors };
  });
  if (!partitions.some(({ role }) => role === 'ephemeral')) throw refuse('no ephemeral partition is asked for');
  return { label: plan.label, partitions };
}
