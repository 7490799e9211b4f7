import { afterEach, describe, expect, test } from 'vitest';

import { eraseDevicesMetadata, metadataTargets, wipeMetadata } from '../../../agent/disk/erase-metadata.ts';
import { parseLsblk } from '../../../agent/hardware/lsblk.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { systemRun } from '../../../system/run.ts';
import { type DiskFile, makeDiskFile, sparseFile } from '../../fakes/disk-file.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

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

/** A q35 machine whose disks are files; programs that change disks are only recorded. */
async function q35(): Promise<{ os: AgentOs & { calls: string[] }; files: Map<string, DiskFile> }> {
  const files = new Map<string, DiskFile>();
  for (const path of ['/dev/sda1', '/dev/sda', '/dev/vda', '/dev/nvme0n1']) {
    const disk = await makeDiskFile(4 * MIB);
    disks.push(disk);
    files.set(path, disk);
  }
  const os = machineOs('qemu-q35', {
    run: async () => ({ stdout: '', stderr: '', exitCode: 0 }),
    openDevice: async (path) => {
      const disk = files.get(path);
      if (!disk) throw new Error(`no such device ${path}`);
      return { ...disk.device, path, close: async () => undefined };
    },
  });
  return { os, files };
}

const guard = { guardSpecialFilesystems: true, guardContents: [], guardRemovable: true };
const quiet = { guard, progress: () => undefined, log: () => undefined };

describe('erase_devices_metadata', () => {
  test('wipes every disk and has the kernel look at each anew', async () => {
    const { os, files } = await q35();
    await eraseDevicesMetadata(os, { uuid: 'u' }, quiet);
    for (const disk of files.values())
      expect((await disk.content()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
    const changes = os.calls.filter((call) => /^(?:wipefs|blockdev)/.test(call));
    expect(changes).toEqual([
      'wipefs --force --all /dev/sda1',
      'wipefs --force --all /dev/vda',
      'blockdev --rereadpt /dev/vda',
      'wipefs --force --all /dev/sda',
      'blockdev --rereadpt /dev/sda',
      'wipefs --force --all /dev/nvme0n1',
      'blockdev --rereadpt /dev/nvme0n1',
    ]);
  });

  test('never touches a disk of skip_block_devices', async () => {
    const { os, files } = await q35();
    await eraseDevicesMetadata(os, { uuid: 'u', properties: { skip_block_devices: [{ serial: 'NVME-1' }] } }, quiet);
    const kept = files.get('/dev/nvme0n1');
    expect((await kept?.content())?.equals(kept?.before ?? Buffer.alloc(0))).toBe(true);
    expect(os.calls.filter((call) => call.includes('nvme0n1') && !call.startsWith('udevadm'))).toEqual([]);
  });

  test('leaves a disk alone, with all its partitions, while one of them is mounted or shared', async () => {
    for (const change of [{ mountpoint: '/mnt' }, { fstype: 'gfs2' }]) {
      const { os, files } = await q35();
      const { blockdevices } = JSON.parse(fixture('qemu-q35', 'lsblk.json')) as { blockdevices: { kname: string }[] };
      const first = blockdevices.find(({ kname }) => kname === 'sda1');
      const stdout = JSON.stringify({ blockdevices: [...blockdevices, { ...first, kname: 'sda2', ...change }] });
      const run: AgentOs['run'] = (file, args, options) =>
        file === 'lsblk' ? Promise.resolve({ stdout, stderr: '', exitCode: 0 }) : os.run(file, args, options);
      const work = eraseDevicesMetadata({ ...os, run }, { uuid: 'u' }, quiet);
      await expect(work).rejects.toThrow('cannot change /dev/sda: /dev/sda2');
      expect(os.calls.filter((call) => call.startsWith('wipefs'))).toEqual([
        'wipefs --force --all /dev/vda',
        'wipefs --force --all /dev/nvme0n1',
      ]);
      const kept = files.get('/dev/sda1');
      expect((await kept?.content())?.equals(kept?.before ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test('wipes a disk with several paths once, and what the guard keeps not at all', async () => {
    const wiped = async (machine: string, change: Partial<typeof guard> = {}) => {
      const os = machineOs(machine, {
        run: async () => ({ stdout: '', stderr: '', exitCode: 0 }),
        openDevice: async (path) => {
          const disk = await sparseFile(4 * MIB);
          return { ...disk.device, path, close: disk.close };
        },
      });
      const work = eraseDevicesMetadata(os, { uuid: 'u' }, { ...quiet, guard: { ...guard, ...change } });
      const error = (await work.catch((reason: unknown) => reason)) as { details?: string } | undefined;
      const names = os.calls.filter((call) => call.startsWith('wipefs')).map((call) => call.split('/').at(-1));
      return { names, error: error?.details };
    };
    expect(await wiped('san-server')).toEqual({
      names: ['dm-2', 'dm-1', 'sdh', 'sdg', 'sde', 'dm-0'],
      error: undefined,
    });
    const idrac = await wiped('idrac-server');
    expect(idrac.names).toEqual(['sda', 'nvme0n2', 'nvme0n1']);
    // What the BMC plays is no failure; a card that may be a tenant's is one.
    expect(idrac.error).toMatch(/^cannot change \/dev\/sdd: \/dev\/sdd is removable; [^;]*removable=false$/);
    const all = await wiped('idrac-server', { guardRemovable: false });
    expect(all).toEqual({ names: ['sdd', 'sda', 'nvme0n2', 'nvme0n1'], error: undefined });
  });

  test('goes on after a disk that fails, and names every one that did', async () => {
    const { os, files } = await q35();
    const openDevice: AgentOs['openDevice'] = async (path, mode) => {
      if (path === '/dev/vda' && mode === 'write') throw new Error('EIO');
      return os.openDevice(path, mode);
    };
    const work = eraseDevicesMetadata({ ...os, openDevice }, { uuid: 'u' }, quiet);
    await expect(work).rejects.toMatchObject({
      type: 'BlockDeviceEraseError',
      details: expect.stringContaining('/dev/vda: EIO') as string,
    });
    expect((await files.get('/dev/nvme0n1')?.content())?.subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });
});
