import type { MethodName } from '../../evidence/methods.ts';
import type { ExaminedDisk } from '../disk/examine.ts';
import type { Abilities } from './abilities.ts';
import type { EraseSettings } from './settings.ts';

export type Subject = {
  disk: ExaminedDisk;
  abilities: Abilities;
  settings: EraseSettings;
  psid: string | undefined;
};

/**
 * Whether a disk can be erased by a method. `blocked`: it has it, and something that an operator may clear stands in the way;
 * `absent`: it does not have it. `foreign`: it is for disks of another kind, and nobody needs to hear of it.
 */
export type Availability = { state: 'available' } | { state: 'blocked' | 'absent' | 'foreign'; why: string };

export type MethodSpec = {
  name: MethodName;
  /** The device does it by itself; else our own writing does. */
  isDevices: boolean;
  look: (subject: Subject) => Availability;
  /** Minutes that it takes, null where nobody knows. */
  minutes: (subject: Subject) => number | null;
};

export const AVAILABLE: Availability = { state: 'available' };
export const absent = (why: string): Availability => ({ state: 'absent', why });
export const foreign = (why: string): Availability => ({ state: 'foreign', why });
export const blocked = (why: string): Availability => ({ state: 'blocked', why });

/** Bytes a second that a disk of its kind takes at least, most of the time. */
export function writeRate({ disk }: Subject): number {
  if (disk.kname.startsWith('nvme')) return 1.5e9;
  return disk.disk.rotational === false ? 4e8 : 1.2e8;
}
