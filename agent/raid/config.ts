import { AgentError } from '../api/errors.ts';
import type { Hints } from '../hardware/hints.ts';
import { type Level, LEVELS, levelOf } from './levels.ts';

/** One array that is wanted. */
export type LogicalDisk = {
  /** Place in `logical_disks`. */
  index: number;
  level: Level;
  /** Room of the array, GiB, or all that its disks have left. */
  sizeGib: number | 'MAX';
  /** Undefined: it is called after its device. */
  volumeName: string | undefined;
  isRootVolume: boolean;
  /** Hints for one disk each; undefined: all disks. */
  physicalDisks: Hints[] | undefined;
};

/** The array that mirrors the EFI system partitions (IPA's name for it). */
export const ESP_ARRAY = 'esp';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** md keeps 32 bytes of `HOST:NAME`, and the name becomes a file of /dev/md. */
const NAME = /^[A-Za-z0-9][\w.-]{0,31}$/;

function readName(entry: Record<string, unknown>, complain: (why: string) => void): string | undefined {
  const name = entry['volume_name'] ?? undefined;
  if (name === undefined) return undefined;
  if (typeof name !== 'string' || !NAME.test(name))
    complain(
      `volume_name ${JSON.stringify(name)} is no name of at most 32 letters, digits, dots, dashes and underscores`,
    );
  else if (name === ESP_ARRAY) complain(`volume_name ${ESP_ARRAY} is kept for the mirror of the EFI system partitions`);
  return typeof name === 'string' ? name : undefined;
}

function readSize(entry: Record<string, unknown>, complain: (why: string) => void): number | 'MAX' {
  const size = entry['size_gb'];
  if (size === 'MAX') return size;
  const count = Number(size);
  if ((typeof size !== 'number' && typeof size !== 'string') || !Number.isInteger(count) || count <= 0) {
    complain(`size_gb ${JSON.stringify(size)} is neither a whole number of GiB above 0 nor MAX`);
    return 1;
  }
  return count;
}

function readDisks(entry: Record<string, unknown>, level: Level, complain: (why: string) => void): Hints[] | undefined {
  const disks = entry['physical_disks'] ?? undefined;
  const count = entry['number_of_physical_disks'] ?? undefined;
  if (disks === undefined) {
    if (count !== undefined) complain('number_of_physical_disks is not supported; name them in physical_disks');
    return undefined;
  }
  const { leastMembers } = LEVELS[level];
  if (!Array.isArray(disks) || !disks.every(isObject)) {
    complain('physical_disks is no list of hints, each an object such as {"serial": "…"}');
    return undefined;
  }
  if (disks.length < leastMembers)
    complain(`physical_disks names ${disks.length} disks, RAID ${level} needs ${leastMembers} at least`);
  return disks;
}

function readLogicalDisk(value: unknown, index: number, problems: string[]): LogicalDisk {
  const complain = (why: string): void => void problems.push(`logical disk ${index + 1}: ${why}`);
  const entry = isObject(value) ? value : {};
  if (entry !== value) complain('is no object');
  if (entry['controller'] !== 'software')
    complain('controller is not "software"; all logical disks of a configuration with software RAID have to be');
  const level = levelOf(entry['raid_level']);
  if (level === undefined) complain(`raid_level ${JSON.stringify(entry['raid_level'])} is none of 0, 1, 5, 6, 1+0`);
  return {
    index,
    level: level ?? '1',
    sizeGib: readSize(entry, complain),
    volumeName: readName(entry, complain),
    isRootVolume: entry['is_root_volume'] === true,
    physicalDisks: readDisks(entry, level ?? '1', complain),
  };
}

/** Whether a RAID configuration has anything for this agent; arrays of controllers are for plug-ins' steps. */
export function isSoftwareRaid(raidConfig: unknown): boolean {
  const disks = isObject(raidConfig) ? raidConfig['logical_disks'] : undefined;
  return Array.isArray(disks) && disks.some((disk: unknown) => isObject(disk) && disk['controller'] === 'software');
}

/**
 * Reads a RAID configuration in Ironic's form. Unlike ironic-python-agent, which takes one or two arrays of which the first has to be
 * RAID 1, any number of any level may be wanted.
 * @throws AgentError `SoftwareRAIDError` with everything that is wrong with it
 */
export function readRaidConfig(raidConfig: unknown, options: { needsNames: boolean }): LogicalDisk[] {
  const list = isObject(raidConfig) ? raidConfig['logical_disks'] : undefined;
  if (!Array.isArray(list) || list.length === 0)
    throw new AgentError('SoftwareRAIDError', 'cannot use the RAID configuration: it has no logical_disks');
  const problems: string[] = [];
  const disks = list.map((entry: unknown, index) => readLogicalDisk(entry, index, problems));
  const names = disks.flatMap(({ volumeName }) => volumeName ?? []);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index)))
    problems.push(`volume_name ${name} is there twice`);
  if (disks.filter(({ isRootVolume }) => isRootVolume).length > 1)
    problems.push('is_root_volume is said of more than one logical disk');
  if (options.needsNames && names.length < disks.length)
    problems.push('every logical disk needs a volume_name, because skip_block_devices names one');
  if (problems.length > 0)
    throw new AgentError('SoftwareRAIDError', `cannot use the RAID configuration: ${problems.join('; ')}`);
  return disks;
}
