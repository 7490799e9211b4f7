import { afterEach, describe, expect, test } from 'vitest';

import { metadataTargets, wipeMetadata } from '../../../agent/disk/erase-metadata.ts';
import { parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { systemRun } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile } from '../../fakes/disk-file.ts';
import { fixture } from '../../fakes/machine.ts';

const MIB = 1024 ** 2;
const disks: DiskFile[] = [];
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
});

const server = parseLsblk(fixture('rack-server-12-disks', 'lsblk.json'));
const names = (blocks: { kname: string }[]) => blocks.map(({ kname }) => kname);

describe('what erase_devices_metadata works on', () => {
  test('are partitions before disks, without members of an array', () => {
    const { targets, left } = metadataTargets(server, new Set());
    expect(names(targets)).toEqual([
      'sdh',
      'sdg',
      'sdf',
      'sde',
      'sdd',
      'sdc',
      'sdb',
      'sda',
      'nvme1n1',
      'nvme0n1',
      'md127',
    ]);
    expect(left.map(({ block, why }) => `${block.kname}: ${why}`)).toContain('sdi1: member of a software RAID');
    expect(names(left.map(({ block }) => block))).toEqual(['sdj1', 'sdi1', 'sdj', 'sdi']);
    const q35 = metadataTargets(parseLsblk(fixture('qemu-q35', 'lsblk.json')), new Set());
    expect(names(q35.targets)).toEqual(['sda1', 'vda', 'sda', 'nvme0n1']);
  });

  test('leave out a disk that is named, with everything on it, and what is read-only', () => {
    const q35 = parseLsblk(fixture('qemu-q35', 'lsblk.json')).map((block) => ({ ...block, ro: block.kname === 'vda' }));
    const { targets, left } = metadataTargets(q35, new Set(['/dev/sda']));
    expect(names(targets)).toEqual(['nvme0n1']);
    expect(left.map(({ why }) => why)).toEqual([
      'named by skip_block_devices',
      'read-only',
      'named by skip_block_devices',
    ]);
  });

  test('leave out the disk by which a BMC hands parameters over', () => {
    const q35 = parseLsblk(fixture('qemu-q35', 'lsblk.json')).map((block) => ({
      ...block,
      label: block.kname === 'sda1' ? 'IR-VFD-DEV' : null,
    }));
    expect(names(metadataTargets(q35, new Set()).targets)).toEqual(['vda', 'nvme0n1']);
  });
});

describe('wiping', () => {
  test('takes both GPTs, the signatures between them, and nothing else', async () => {
    const disk = await makeDiskFile(64 * MIB);
    disks.push(disk);
    await disk.device.zero(0, MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+16M', '-n', '2:0:+8M', disk.path]);
    const before = await disk.content();
    await wipeMetadata({ run: systemRun }, disk.device);
    const after = await disk.content();
    expect(after.subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
    expect(after.subarray(-MIB).equals(Buffer.alloc(MIB))).toBe(true);
    expect(after.subarray(MIB, -MIB).equals(before.subarray(MIB, -MIB))).toBe(true);
    expect((await systemRun('wipefs', [disk.path])).stdout).toBe('');
  });

  test('also takes a backup GPT that an image left inside the disk', async () => {
    const disk = await makeDiskFile(64 * MIB);
    disks.push(disk);
    await disk.device.zero(0, 64 * MIB);
    const small = await makeDiskFile(16 * MIB);
    disks.push(small);
    await small.device.zero(0, 16 * MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+8M', small.path]);
    await disk.device.write(await small.content(), 0);
    await wipeMetadata({ run: systemRun }, disk.device);
    expect((await disk.content()).includes('EFI PART')).toBe(false);
  });
});
