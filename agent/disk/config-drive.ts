import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { Block } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';
import { listPartitions, rereadPartitions, withDevice } from './partitions.ts';
import { addMbrPartition, readTable } from './tables.ts';

/** Most that a config drive may be (agent-protocol I.7), and the size of the partition that is made for it. */
export const MOST_CONFIG_DRIVE_BYTES = 64 * 1024 ** 2;
const LABEL = 'config-2';
const FIND_ATTEMPTS = 15;
const FIND_DELAY_MS = 1000;

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use the config drive: ${why}`);
}

/** Are these the bytes of an ISO 9660 or a FAT file system? */
function isFilesystem(bytes: Buffer): boolean {
  const isIso = bytes.subarray(0x80_01, 0x80_06).equals(Buffer.from('CD001'));
  return isIso || (bytes.length >= 512 && bytes.readUInt16BE(510) === 0x55_aa);
}

/**
 * Unpacks a config drive.
 * @param content base64 of gzip of the drive; what came from a URL may also be the drive itself, or gzip of it
 * @returns an ISO 9660 or FAT file system
 * @throws AgentError `InvalidCommandParamsError`
 */
export function unpackConfigDrive(content: Buffer): Buffer {
  if (isFilesystem(content)) return content;
  const text = content.toString('latin1').replaceAll(/\s/g, '');
  const packed = /^[A-Za-z0-9+/]+=*$/.test(text) ? Buffer.from(text, 'base64') : content;
  let bytes: Buffer;
  try {
    bytes = gunzipSync(packed, { maxOutputLength: MOST_CONFIG_DRIVE_BYTES });
  } catch (error) {
    const isTooLong = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw refuse(isTooLong ? 'it is larger than 64 MiB' : `it is no base64 of gzip (${reasonOf(error)})`);
  }
  if (!isFilesystem(bytes)) throw refuse('it unpacks to something that is neither ISO 9660 nor FAT');
  return bytes;
}

/** An image may bring an empty partition for it. */
function existingPartition(partitions: readonly Block[]): Block | undefined {
  const found = partitions.filter(({ label, partlabel }) =>
    [label, partlabel].some((name) => name?.toLowerCase() === LABEL),
  );
  if (found.length > 1)
    throw new AgentError(
      'DeploymentError',
      `cannot place the config drive: ${found.map(({ kname }) => `/dev/${kname}`).join(' and ')} are both labelled ${LABEL}`,
    );
  return found[0];
}

async function findPartition(os: AgentOs, path: string, isIt: (block: Block) => boolean): Promise<Block> {
  for (let attempt = 1; attempt <= FIND_ATTEMPTS; attempt++) {
    const found = (await listPartitions(os, path)).find((block) => isIt(block));
    if (found) return found;
    await os.clock.sleep(FIND_DELAY_MS);
  }
  throw new AgentError(
    'DeploymentError',
    `cannot place the config drive: its new partition on ${path} does not show up`,
  );
}

async function addToMbr(os: AgentOs, path: string): Promise<number> {
  return withDevice(os, path, 'write', async (device) => {
    const table = await readTable(device);
    if (table.kind !== 'mbr')
      throw new AgentError('DeploymentError', `cannot place the config drive: ${path} has no partition table`);
    const range = addMbrPartition(
      table.sector,
      MOST_CONFIG_DRIVE_BYTES / device.sectorBytes,
      device.sizeBytes / device.sectorBytes,
    );
    await device.write(table.sector, 0);
    await device.flush();
    return range.start;
  });
}

async function makePartition(os: AgentOs, path: string): Promise<Block> {
  const table = await withDevice(os, path, 'read', (device) => readTable(device));
  if (table.kind === 'gpt') {
    const uuid = randomUUID();
    await os.run('sgdisk', ['-n', '0:-64MB:0', '-u', `0:${uuid}`, path]);
    await rereadPartitions(os, path);
    return findPartition(os, path, ({ partuuid }) => partuuid?.toLowerCase() === uuid);
  }
  const before = new Set((await listPartitions(os, path)).map(({ kname }) => kname));
  await addToMbr(os, path);
  await rereadPartitions(os, path);
  return findPartition(os, path, ({ kname }) => !before.has(kname));
}

/**
 * Puts a config drive where cloud-init looks for it: into the image's own partition labelled config-2, or into a new one at the end of the disk.
 * The backup GPT must be at the end of the disk already.
 * @param drive file system bytes, at most 64 MiB
 * @returns the partition's path
 * @throws AgentError `DeploymentError` when there is no place for it
 */
export async function writeConfigDrive(os: AgentOs, path: string, drive: Buffer): Promise<string> {
  const partition = existingPartition(await listPartitions(os, path)) ?? (await makePartition(os, path));
  const name = `/dev/${partition.kname}`;
  await withDevice(os, name, 'write', async (device) => {
    if (drive.length > device.sizeBytes)
      throw new AgentError(
        'DeploymentError',
        `cannot place the config drive: it has ${drive.length} bytes, ${name} has ${device.sizeBytes}`,
      );
    await device.write(drive, 0);
    await device.flush();
  });
  // So that lsblk and the next reader see the new label.
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
  return name;
}

/** ISO 9660 has blocks of 2048 bytes, which no disk with larger sectors can give. */
export function checkConfigDriveFits(sectorBytes: number, path: string): void {
  if (sectorBytes > 2048)
    throw new AgentError(
      'DeploymentError',
      `cannot place a config drive on ${path}: it has sectors of ${sectorBytes} bytes, and making the drive anew for such disks is not supported yet`,
    );
}
