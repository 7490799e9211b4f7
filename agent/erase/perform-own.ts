import { wipeMetadata } from '../disk/erase-metadata.ts';
import { rereadPartitions, withDevice } from '../disk/partitions.ts';
import { findInterrupted, overwriteDisk } from './overwrite.ts';
import type { Perform } from './perform.ts';

const overwrite: Perform = (context) =>
  withDevice(context.os, context.disk.disk.name, 'write', async (device) =>
    overwriteDisk(context, device, await findInterrupted(context, device)),
  );

const discard: Perform = async ({ recorder, disk }) => {
  await recorder.run('blkdiscard', ['--force', disk.disk.name]);
  return { written: null, gaps: [] };
};

/** Partitions before the disk that they are on: afterwards nobody knows where they were. */
const metadata: Perform = async ({ os, disk, recorder }) => {
  const partitions = disk.family.filter(({ type }) => type === 'part').toReversed();
  for (const { kname } of partitions)
    await withDevice(os, `/dev/${kname}`, 'write', (device) => wipeMetadata(recorder, device));
  await withDevice(os, disk.disk.name, 'write', (device) => wipeMetadata(recorder, device));
  await rereadPartitions(os, disk.disk.name);
  return { written: null, gaps: [] };
};

export const OWN_PERFORMERS = {
  'overwrite-zeros': overwrite,
  'overwrite-pattern': overwrite,
  discard,
  metadata,
} satisfies Record<string, Perform>;
