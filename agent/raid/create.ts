import { randomInt } from 'node:crypto';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import { wipeMetadata } from '../disk/erase-metadata.ts';
import { makeMbr } from '../disk/mbr.ts';
import { knameOf, rereadPartitions, withDevice } from '../disk/partitions.ts';
import type { AgentOs } from '../os/door.ts';
import { mdadm } from '../hardware/md.ts';
import { parseExport } from './arrays.ts';
import { type Level, LEVELS } from './levels.ts';
import { partitionPath, type PlannedArray, type PlannedDisk, type RaidPlan } from './plan.ts';

const ADD_ATTEMPTS = 3;
const ADD_DELAY_MS = 1000;

export type Narration = { log: (message: string) => void; step: (done: number, total: number, what: string) => void };

/** "Linux RAID" in a GPT (sgdisk's short form) and in an MBR, as every tool writes them. */
const GPT_RAID = 'fd00';
const MBR_RAID = 0xfd;

/** Words for sgdisk that make a disk's table; sectors are said outright, so nothing is rounded. */
export function gptWords({ name, partitions }: PlannedDisk): string[] {
  const words = partitions.flatMap(({ number, startSector, sectors, array }) => [
    `--new=${number}:${startSector}:${startSector + sectors - 1}`,
    `--typecode=${number}:${GPT_RAID}`,
    `--change-name=${number}:${array}`,
  ]);
  return ['--clear', '--set-alignment=1', ...words, name];
}

/** The MBR of a disk. @param signature not 0 */
export function raidMbr({ partitions }: PlannedDisk, signature: number): Buffer {
  const entries = partitions.map(({ startSector, sectors }) => ({
    type: MBR_RAID,
    range: { start: startSector, count: sectors },
    isActive: false,
  }));
  return makeMbr(signature, entries);
}

async function writeTable(os: AgentOs, disk: PlannedDisk): Promise<void> {
  if (disk.table === 'gpt') await os.run('sgdisk', gptWords(disk));
  else
    await withDevice(os, disk.name, 'write', async (device) => {
      await device.write(raidMbr(disk, randomInt(1, 2 ** 32)), 0);
      await device.flush();
    });
  await rereadPartitions(os, disk.name);
}

/** The kernel has the partitions that were planned. Its sectors are of 512 bytes whatever the disk's. */
async function checkPartitions(os: AgentOs, { name, sectorBytes, partitions }: PlannedDisk): Promise<void> {
  for (const { number, startSector, sectors } of partitions) {
    const path = partitionPath(name, number);
    const sys = `/sys/class/block/${knameOf(path)}`;
    const [start, size] = [await os.files.read(`${sys}/start`), await os.files.read(`${sys}/size`)].map(
      (text) => (Number(text ?? Number.NaN) * 512) / sectorBytes,
    );
    if (start !== startSector || size !== sectors)
      throw new AgentError(
        'SoftwareRAIDError',
        `cannot make the partition ${path}: it should have ${sectors} sectors from ${startSector} on, and the kernel has ${size} from ${start} on`,
      );
  }
}

async function makePartitions(os: AgentOs, disk: PlannedDisk): Promise<void> {
  await withDevice(os, disk.name, 'write', (device) => wipeMetadata(os, device));
  await writeTable(os, disk);
  await checkPartitions(os, disk);
  // An array that began at the same sector before would still be there.
  for (const { number } of disk.partitions)
    await withDevice(os, partitionPath(disk.name, number), 'write', (device) => wipeMetadata(os, device));
}

export type NewArray = {
  device: string;
  name: string;
  level: Level;
  members: readonly string[];
  /** 1.0 is at the members' ends, so that firmware that knows no RAID takes each for a plain partition. */
  metadata: '1.0' | '1.2';
};

/** The members that an array has, by `mdadm --detail --export`. */
export function membersOf(output: string): string[] {
  return [...parseExport(output)].flatMap(([key, value]) => (/^MD_DEVICE_.*_DEV$/.test(key) ? [value] : []));
}

/** A member that was busy for a moment when the array was made is missing in it. */
async function addMissing(os: AgentOs, { device, members }: NewArray, log: Narration['log']): Promise<void> {
  const present = membersOf(await mdadm(os, ['--detail', '--export', device]));
  for (const member of members.filter((one) => !present.includes(one))) {
    log(`${member} is not in ${device}, for which it was made; it is added`);
    for (let attempt = 1; ; attempt++) {
      try {
        await mdadm(os, ['--add', device, member]);
        break;
      } catch (error) {
        if (attempt === ADD_ATTEMPTS) throw error;
        await os.clock.sleep(ADD_DELAY_MS);
      }
    }
  }
}

/** Makes one array of partitions that hold nothing. @throws AgentError `SoftwareRAIDError` */
export async function makeArray(os: AgentOs, array: NewArray, log: Narration['log']): Promise<void> {
  const { device, name, level, members, metadata } = array;
  const hasBitmap = LEVELS[level].hasBitmap && metadata !== '1.0';
  await mdadm(os, [
    '--create',
    device,
    '--run',
    '--force',
    `--metadata=${metadata}`,
    `--level=${level}`,
    `--name=${name}`,
    // So that every system that is ever booted from it takes it for its own.
    '--homehost=any',
    ...(LEVELS[level].hasBitmap ? [`--bitmap=${hasBitmap ? 'internal' : 'none'}`] : []),
    `--raid-devices=${members.length}`,
    ...members,
  ]);
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  await addMissing(os, array, log);
}

async function makePlannedArray(os: AgentOs, planned: PlannedArray, { log }: Narration): Promise<void> {
  await makeArray(os, { ...planned, metadata: '1.2' }, log);
  // What an array of the same form had on it comes back with it.
  await withDevice(os, planned.device, 'write', (device) => wipeMetadata(os, device));
  log(`${planned.device} is RAID ${planned.level} "${planned.name}" on ${planned.members.join(' ')}`);
}

/**
 * Makes what was planned: tables and partitions of each disk, then the arrays. The disks must hold nothing that somebody wants.
 * @throws AgentError `SoftwareRAIDError` with what could not be made; what is made by then stays, for delete_configuration
 */
export async function makeRaid(os: AgentOs, { disks, arrays }: RaidPlan, narration: Narration): Promise<void> {
  const total = disks.length + arrays.length;
  let done = 0;
  const making = async (what: string, work: () => Promise<void>): Promise<void> => {
    narration.step(done, total, what);
    try {
      await work();
    } catch (error) {
      if (error instanceof AgentError && error.type === 'SoftwareRAIDError') throw error;
      const why = error instanceof AgentError ? error.details : reasonOf(error);
      throw new AgentError('SoftwareRAIDError', `cannot make ${what}: ${why}`, { cause: error });
    }
    done += 1;
  };
  for (const disk of disks) await making(`partitions of ${disk.name}`, () => makePartitions(os, disk));
  for (const array of arrays) await making(`array ${array.device}`, () => makePlannedArray(os, array, narration));
  narration.step(total, total, '');
}
