import { randomInt, randomUUID } from 'node:crypto';

import { AgentError } from '../api/errors.ts';
import type { Block } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';
import { type Layout, PARTITION_KINDS, type PlannedPartition } from './layout.ts';
import { makeMbr, mbrPartuuid } from './mbr.ts';
import { listPartitions, rereadPartitions, withDevice } from './partitions.ts';

const FIND_ATTEMPTS = 15;
const FIND_DELAY_MS = 1000;

/** A partition as the kernel has it. */
export type MadePartition = PlannedPartition & { path: string; partuuid: string };

/**
 * The device of a new partition, which the kernel may need a moment for.
 * @returns its path
 * @throws AgentError `DeviceNotFound`
 */
export async function findPartition(
  os: AgentOs,
  disk: string,
  what: string,
  isIt: (block: Block) => boolean,
): Promise<string> {
  for (let attempt = 1; attempt <= FIND_ATTEMPTS; attempt++) {
    const found = (await listPartitions(os, disk)).find((block) => isIt(block));
    if (found) return `/dev/${found.kname}`;
    await os.clock.sleep(FIND_DELAY_MS);
  }
  throw new AgentError(
    'DeviceNotFound',
    `cannot find ${what} on ${disk}: the table has its partition, and the kernel does not show it`,
  );
}

/** Tells whether a partition is the one that the kernel calls so. */
export function hasPartuuid(partuuid: string): (block: Block) => boolean {
  return (block) => block.partuuid?.toLowerCase() === partuuid;
}

/** Words for sgdisk that make a GPT; sectors are said outright, so nothing is rounded. */
function gptWords(partitions: readonly (PlannedPartition & { partuuid: string })[]): string[] {
  const words = partitions.flatMap(({ role, number, startSector, sectors, partuuid }) => [
    `--new=${number}:${startSector}:${startSector + sectors - 1}`,
    `--typecode=${number}:${PARTITION_KINDS[role].gpt}`,
    `--change-name=${number}:${PARTITION_KINDS[role].name}`,
    `--partition-guid=${number}:${partuuid}`,
  ]);
  return ['--clear', '--set-alignment=1', ...words];
}

async function writeMbr(os: AgentOs, disk: string, layout: Layout, signature: number): Promise<void> {
  const sector = makeMbr(
    signature,
    layout.partitions.map(({ role, startSector, sectors }) => ({
      type: PARTITION_KINDS[role].mbr,
      range: { start: startSector, count: sectors },
      // BIOSes look for the partition that is active.
      isActive: role === 'root',
    })),
  );
  await withDevice(os, disk, 'write', async (device) => {
    await device.write(sector, 0);
    await device.flush();
  });
}

/** Waits for the devices of partitions that a table has. */
export async function findPartitions(
  os: AgentOs,
  disk: string,
  partitions: readonly (PlannedPartition & { partuuid: string })[],
): Promise<MadePartition[]> {
  const made: MadePartition[] = [];
  for (const partition of partitions)
    made.push({ ...partition, path: await findPartition(os, disk, partition.role, hasPartuuid(partition.partuuid)) });
  return made;
}

/**
 * Writes a partition table to a disk that has been wiped, and waits for its partitions.
 * @throws Failure or AgentError; then the disk may have the table
 */
export async function makePartitions(os: AgentOs, disk: string, layout: Layout): Promise<MadePartition[]> {
  const signature = randomInt(1, 2 ** 32);
  const named = layout.partitions.map((partition) => ({
    ...partition,
    partuuid: layout.label === 'gpt' ? randomUUID() : mbrPartuuid(signature, partition.number),
  }));
  if (layout.label === 'gpt') await os.run('sgdisk', [...gptWords(named), disk]);
  else await writeMbr(os, disk, layout, signature);
  await rereadPartitions(os, disk);
  return findPartitions(os, disk, named);
}
