import type { Disk } from '../api/inventory.ts';
import type { Block } from './lsblk.ts';

/** A disk with everything that a hint may be compared with: some disks have more than one serial or WWN. */
export type DiskRecord = {
  disk: Disk;
  serials: string[];
  wwns: string[];
  /** The name that an array was given when it was made, for `volume_name` in skip_block_devices. */
  volumeName?: string;
  /** Where it is plugged in has more than one name, too, and a disk with several paths has the names of each. */
  names?: string[];
  hctls?: string[];
  byPaths?: string[];
};

/** ATA Security as udev read it from IDENTIFY DEVICE; undefined where the disk has none, or is no ATA disk. */
export type AtaSecurity = { isEnabled: boolean; isLocked: boolean; isFrozen: boolean };

/**
 * One disk of the machine: what lsblk, udev and sysfs say of it, joined. Everything here costs no program of its own, so that it may
 * be read at start-up; `agent/disk/examine.ts` adds what only somebody who means to change the disk needs.
 */
export type DiskModel = DiskRecord & {
  /** Kernel name, without /dev. */
  kname: string;
  /** `multipath`: a dm device over several paths; `array`: software RAID. */
  kind: 'disk' | 'multipath' | 'array';
  /** Kernel names of all devices that are this very medium: its own, or that of each path to it. */
  paths: string[];
  /** The device, its partitions and everything on it, each once, the device first; with several paths, what is on each. */
  family: Block[];
  /** What it stands on: members of an array and their disks, paths of a multipath device. */
  below: Block[];
  isReadOnly: boolean;
  isRemovable: boolean;
  /** Why it is taken for a drive that a BMC only plays to the machine; undefined for a real disk. */
  virtualMedia: string | undefined;
  ataSecurity: AtaSecurity | undefined;
};

/**
 * A block device that the kernel lists and that is no disk to write to, and why. `path`: of a multipath device; `double`: one more path
 * to a disk where no multipath daemon runs; `derived`: made of another disk.
 */
export type NotADisk = { name: string; kind: 'optical' | 'path' | 'double' | 'derived'; why: string };

/** All that the machine has, from one look. */
export type Storage = { disks: DiskModel[]; others: NotADisk[]; blocks: Block[] };
