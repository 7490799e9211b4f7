/** A level of software RAID as mdadm names it. */
export type Level = '0' | '1' | '5' | '6' | '10';

/** What a level needs and gives; `data` is how many members' worth of room an array of `count` members has. */
type LevelRow = { leastMembers: number; data: (count: number) => number; hasBitmap: boolean };

/** md(4). RAID 10 keeps two copies of everything ("near" layout, mdadm's default), also on an odd number of members. */
export const LEVELS: Readonly<Record<Level, LevelRow>> = {
  '0': { leastMembers: 2, data: (count) => count, hasBitmap: false },
  '1': { leastMembers: 2, data: () => 1, hasBitmap: true },
  '5': { leastMembers: 3, data: (count) => count - 1, hasBitmap: true },
  '6': { leastMembers: 4, data: (count) => count - 2, hasBitmap: true },
  '10': { leastMembers: 2, data: (count) => count / 2, hasBitmap: true },
};

/** Ironic writes RAID 10 as `1+0`. */
export function levelOf(text: unknown): Level | undefined {
  const name = text === '1+0' ? '10' : String(text);
  return Object.hasOwn(LEVELS, name) ? (name as Level) : undefined;
}
