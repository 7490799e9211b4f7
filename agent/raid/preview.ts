import type { DiskModel } from '../hardware/disk-model.ts';
import type { DeletionPlan } from './delete.ts';
import { LEVELS } from './levels.ts';
import { describePlan, type PlannedArray, type RaidPlan } from './plan.ts';

/** What delete_configuration would do. */
export type DeletionPreview = {
  dry_run: true;
  arrays: { device: string; name: string | null; members: string[]; fate: 'delete' | 'wipe' | 'keep'; why: string }[];
  /** Members of arrays that are not there; they become plain partitions or disks. */
  stray_members: string[];
  /** Disks whose partition tables go. */
  wiped_disks: string[];
  minutes: number;
};

/** What create_configuration would do. Sectors are the disk's logical ones. */
export type CreationPreview = {
  dry_run: true;
  /** What has to be done before; empty where nothing stands in the way. */
  before: string[];
  partitions: {
    disk: string;
    number: number;
    start_sector: number;
    sectors: number;
    sector_bytes: number;
    array: string;
  }[];
  arrays: (Pick<PlannedArray, 'device' | 'name' | 'level' | 'members'> & {
    /** How long its first resync takes at least, in the background; the array can be used meanwhile. */
    resync_minutes: number;
  })[];
  /** What the same step deletes before. */
  deletion?: DeletionPreview;
  /** Partitions and arrays for people. */
  lines: string[];
  minutes: number;
};

/** Of a table, or of an array: programs and udev. */
const MINUTES_EACH = 0.1;
/** md(4), speed_limit_max; a rotating disk is slower than that by itself. */
const RESYNC_BYTES_PER_SECOND = 200e6;
const ROTATING_BYTES_PER_SECOND = 120e6;

const rounded = (minutes: number): number => Math.ceil(minutes * 10) / 10;

export function previewDeletion({ fates, stray, disks, whole }: DeletionPlan): DeletionPreview {
  const changed = fates.filter(({ fate }) => fate !== 'keep').length + disks.length;
  return {
    dry_run: true,
    arrays: fates.map(({ array: { device, name, members }, fate, why }) => ({
      device,
      name: name ?? null,
      members,
      fate,
      why,
    })),
    stray_members: stray,
    wiped_disks: whole,
    minutes: rounded(changed * MINUTES_EACH),
  };
}

/** Of each member as much as the smallest has; without redundancy there is nothing to be made equal. */
function resyncMinutes({ level, name }: PlannedArray, { disks }: RaidPlan, models: readonly DiskModel[]): number {
  if (!LEVELS[level].hasBitmap) return 0;
  const own = disks.flatMap(({ name: disk, sectorBytes, partitions }) =>
    partitions.flatMap(({ array, sectors }) => (array === name ? [{ disk, bytes: sectors * sectorBytes }] : [])),
  );
  const rotates = own.some(({ disk }) => models.find((model) => model.disk.name === disk)?.disk.rotational !== false);
  const bytes = Math.min(...own.map((part) => part.bytes));
  return rounded(bytes / (rotates ? ROTATING_BYTES_PER_SECOND : RESYNC_BYTES_PER_SECOND) / 60);
}

/** @param models of the disks that were chosen @param before what stands in the way */
export function previewCreation(plan: RaidPlan, models: readonly DiskModel[], before: string[]): CreationPreview {
  const resync = plan.arrays.map((array) => resyncMinutes(array, plan, models));
  return {
    dry_run: true,
    before,
    partitions: plan.disks.flatMap(({ name, sectorBytes, partitions }) =>
      partitions.map(({ number, startSector, sectors, array }) => ({
        disk: name,
        number,
        start_sector: startSector,
        sectors,
        sector_bytes: sectorBytes,
        array,
      })),
    ),
    arrays: plan.arrays.map(({ device, name, level, members }, index) => ({
      device,
      name,
      level,
      members,
      resync_minutes: resync[index] ?? 0,
    })),
    lines: describePlan(plan),
    minutes: rounded((plan.disks.length + plan.arrays.length) * MINUTES_EACH),
  };
}
