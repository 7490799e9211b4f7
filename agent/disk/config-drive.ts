import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';

import { reasonOf } from '../../system/failure.ts';
import { AgentError } from '../api/errors.ts';
import type { Block } from '../hardware/lsblk.ts';
import type { AgentOs } from '../os/door.ts';
import { makeFileSystem } from './file-systems.ts';
import { findPartition, hasPartuuid } from './make-partitions.ts';
import { addMbrPartition } from './mbr.ts';
import { listPartitions, rereadPartitions, withDevice } from './partitions.ts';
import { findRoomAtEnd } from './room.ts';
import { readEntries, readTable } from './tables.ts';

/** Most that a config drive may be (agent-protocol I.7), and the size of the partition that is made for it. */
export const MOST_CONFIG_DRIVE_BYTES = 64 * 1024 ** 2;
const LABEL = 'config-2';
/** "FAT32 with LBA", which is what partitioning programs write for a config drive. */
const TYPE_FAT32_LBA = 0x0c;
const WORK = '/run/ingot-agent/config-drive';

function refuse(why: string): AgentError {
  return new AgentError('InvalidCommandParamsError', `cannot use the config drive: ${why}`);
}

function isIso(bytes: Buffer): boolean {
  return bytes.subarray(0x80_01, 0x80_06).equals(Buffer.from('CD001'));
}

/** Are these the bytes of an ISO 9660 or a FAT file system? */
function isFilesystem(bytes: Buffer): boolean {
  return isIso(bytes) || (bytes.length >= 512 && bytes.readUInt16BE(510) === 0x55_aa);
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

/** Makes room for it at the disk's end; the backup GPT must be there already. */
async function makePartition(os: AgentOs, path: string, driveBytes: number): Promise<string> {
  const { table, range } = await withDevice(os, path, 'read', async (device) => {
    const found = await readTable(device);
    if (found.kind === 'none')
      throw new AgentError('DeploymentError', `cannot place the config drive: ${path} has no partition table`);
    const sizes = { wantedBytes: MOST_CONFIG_DRIVE_BYTES, leastBytes: driveBytes };
    return { table: found, range: findRoomAtEnd(device, found, await readEntries(device, found), sizes) };
  });
  if (table.kind === 'gpt') {
    const uuid = randomUUID();
    const words = ['--set-alignment=1', `--new=0:${range.start}:${range.start + range.count - 1}`];
    await os.run('sgdisk', [...words, `--partition-guid=0:${uuid}`, path]);
    await rereadPartitions(os, path);
    return findPartition(os, path, 'the config drive', hasPartuuid(uuid));
  }
  // Not by its PARTUUID: that comes from the disk's signature, which an image may not have.
  const before = new Set((await listPartitions(os, path)).map(({ kname }) => kname));
  addMbrPartition(table.sector, TYPE_FAT32_LBA, range);
  await withDevice(os, path, 'write', async (device) => {
    await device.write(table.sector, 0);
    await device.flush();
  });
  await rereadPartitions(os, path);
  return findPartition(os, path, 'the config drive', ({ kname }) => !before.has(kname));
}

/** Block size of the file system: a disk whose sectors are larger cannot give it to the kernel. */
function blockBytes(drive: Buffer): number {
  return isIso(drive) ? 2048 : drive.readUInt16LE(11);
}

/**
 * Makes the config drive anew as FAT with the disk's own sector size, with the files that it has.
 * @throws AgentError `DeploymentError`
 */
async function rebuild(os: AgentOs, partition: string, drive: Buffer): Promise<void> {
  const [file, from, to] = [`${WORK}/drive`, `${WORK}/from`, `${WORK}/to`];
  await os.files.makeDirectory(from, 0o700);
  await os.files.makeDirectory(to, 0o700);
  const mounted: string[] = [];
  try {
    await os.files.write(file, drive, 0o600);
    // Nothing else needs it, so it is not loaded; and mount(8) cannot ask for what has no device yet.
    await os.run('modprobe', ['loop']).catch(() => undefined);
    await os.run('mount', ['-o', 'loop,ro', file, from]);
    mounted.push(from);
    await makeFileSystem(os, 'vfat', partition, LABEL.toUpperCase());
    await os.run('mount', ['-t', 'vfat', partition, to]);
    mounted.push(to);
    await os.run('cp', ['-RL', `${from}/.`, `${to}/`]);
  } catch (error) {
    throw new AgentError(
      'DeploymentError',
      `cannot make the config drive anew on ${partition}, as its sectors need it: ${reasonOf(error)}`,
      { cause: error },
    );
  } finally {
    for (const folder of mounted.toReversed()) await os.run('umount', [folder]);
    await os.files.remove(file);
  }
}

/**
 * Fills a partition with a config drive: with its bytes, or, where the sectors of the disk are larger than its file system can have, with
 * a new file system that has its files.
 * @param mustRebuild make it anew in any case (`config_drive_rebuild`)
 * @throws AgentError `DeploymentError` when it does not fit
 */
export async function fillConfigDrive(os: AgentOs, path: string, drive: Buffer, mustRebuild: boolean): Promise<void> {
  const isWritten = await withDevice(os, path, 'write', async (device) => {
    if (drive.length > device.sizeBytes)
      throw new AgentError(
        'DeploymentError',
        `cannot place the config drive: it has ${drive.length} bytes, ${path} has ${device.sizeBytes}`,
      );
    if (mustRebuild || blockBytes(drive) < device.sectorBytes) return false;
    await device.write(drive, 0);
    await device.flush();
    return true;
  });
  if (!isWritten) await rebuild(os, path, drive);
  // So that lsblk and the next reader see the new label.
  await os.run('udevadm', ['settle', '--timeout=60']).catch(() => undefined);
}

/**
 * Puts a config drive where cloud-init looks for it: into the image's own partition labelled config-2, or into a new one at the end of the disk.
 * The backup GPT must be at the end of the disk already.
 * @param drive file system bytes, at most 64 MiB
 * @returns the partition's path
 * @throws AgentError `DeploymentError` when there is no place for it
 */
export async function writeConfigDrive(
  os: AgentOs,
  disk: string,
  drive: Buffer,
  mustRebuild: boolean,
): Promise<string> {
  const existing = existingPartition(await listPartitions(os, disk));
  const path = existing ? `/dev/${existing.kname}` : await makePartition(os, disk, drive.length);
  await fillConfigDrive(os, path, drive, mustRebuild);
  return path;
}
