import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { COMMANDS } from '../../../agent/commands/table.ts';
import { type AgentConfig, makeConfig } from '../../../agent/config/config.ts';
import { createRunner } from '../../../agent/engine/runner.ts';
import type { CommandResult } from '../../../agent/api/command.ts';
import { systemRun } from '../../../system/run.ts';
import { fakeDeps } from '../../fakes/agent-deps.ts';
import { type ImageServer, startImageServer } from '../../fakes/image-server.ts';
import { PartitionedDisk } from '../../fakes/partitioned-disk.ts';
import { sparseFile } from '../../fakes/disk-file.ts';
import { makeQcow2 } from '../../fakes/qcow2.ts';
import { sha256 } from '../image/delivery.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');
const CONFIG_DRIVE = gzipSync(iso).toString('base64');
const ROOT_UUID = '0f0e0d0c-1111-4222-8333-444455556666';

/** A root file system: ext4, which has no boot sector, with something in its last blocks. */
async function makeRoot(): Promise<Buffer> {
  const file = await sparseFile(12 * MIB);
  await systemRun('mke2fs', ['-q', '-F', '-t', 'ext4', '-U', ROOT_UUID, '-L', 'img-rootfs', file.path]);
  const bytes = Buffer.alloc(12 * MIB);
  await file.device.read(bytes, 0);
  await file.close();
  bytes.write('the end', 12 * MIB - 7);
  return bytes;
}

const root = await makeRoot();
const qcow2 = makeQcow2({ guest: root, clusterBits: 16, version: 3, compression: 'zlib', compressed: 0.5, seed: 5 });

let disk: PartitionedDisk;
let server: ImageServer;
let content: Buffer;

beforeEach(async () => {
  content = qcow2;
  server = await startImageServer(() => ({ content }));
});
afterEach(async () => {
  await server.close();
  await disk.close();
});

const node = (properties: object) => ({ uuid: 'node', instance_info: {}, properties });
const GPT = node({ capabilities: 'boot_mode:bios,disk_label:gpt' });
const BIOS = node({ capabilities: { boot_mode: 'bios' } });
const UEFI = node({ capabilities: '{"boot_mode": "uefi"}' });

function info(more: object = {}) {
  return {
    id: 'debian',
    urls: [server.url],
    disk_format: content === qcow2 ? 'qcow2' : 'raw',
    os_hash_algo: 'sha256',
    os_hash_value: sha256(content),
    image_type: 'partition',
    root_gb: '1',
    root_mb: 20,
    swap_mb: 8,
    ephemeral_mb: 16,
    ephemeral_format: null,
    preserve_ephemeral: false,
    deploy_boot_mode: 'uefi',
    ...more,
  };
}

function runner(change: Partial<AgentConfig> = {}) {
  const config: AgentConfig = {
    ...makeConfig(new Map([['ipa-image-download-connection-retries', '0']])),
    efiSystemPartitionMib: 40,
    ...change,
  };
  const deps = fakeDeps({ os: disk.os(), config });
  const { execute } = createRunner({
    commands: COMMANDS,
    deps,
    signal: new AbortController().signal,
    log: () => undefined,
  });
  const run = (name: string, params: Record<string, unknown>): Promise<CommandResult> => execute(name, params, true);
  return {
    run,
    write: (image_info: object, on: object, configdrive?: string) =>
      run('deploy.execute_deploy_step', {
        step: { step: 'write_image', interface: 'deploy', args: { image_info, configdrive } },
        node: on,
        ports: [],
      }),
  };
}

async function blkid(path: string): Promise<Record<string, string>> {
  const { stdout } = await systemRun('blkid', ['-p', '-o', 'export', await disk.copyOut(path)]);
  return Object.fromEntries(stdout.split('\n').map((line) => line.split('=')) as [string, string][]);
}

async function isOnDisk(path: string, bytes: Buffer): Promise<boolean> {
  return (await disk.read(disk.partition(path).start * 512, bytes.length)).equals(bytes);
}

describe('a partition image', () => {
  test('for UEFI gets its partitions, file systems and config drive, and Ironic its UUIDs in IPA’s form', async () => {
    disk = await PartitionedDisk.make(GIB);
    const { run, write } = runner();
    const { command_error: error, command_result: result } = await write(info(), UEFI, CONFIG_DRIVE);
    expect(error).toBeNull();
    const esp = await blkid('/dev/vda1');
    expect(esp).toMatchObject({ TYPE: 'vfat', LABEL: 'efi-part' });
    expect(await blkid('/dev/vda2')).toMatchObject({ TYPE: 'ext4', LABEL: 'ephemeral0' });
    expect(await blkid('/dev/vda3')).toMatchObject({ TYPE: 'swap', LABEL: 'swap1' });
    expect(await isOnDisk('/dev/vda4', iso)).toBe(true);
    expect(await isOnDisk('/dev/vda5', root)).toBe(true);
    expect(result).toMatchObject({
      deploy_result: {
        result: `prepare_image: image (debian) written to device /dev/vda root_uuid=${ROOT_UUID} efi_system_partition_uuid=${esp['UUID']}`,
      },
    });
    expect((await run('standby.get_partition_uuids', {})).command_result).toEqual({
      partitions: {
        'efi system partition': '/dev/vda1',
        ephemeral: '/dev/vda2',
        swap: '/dev/vda3',
        configdrive: '/dev/vda4',
        root: '/dev/vda5',
      },
      'root uuid': ROOT_UUID,
      'efi system partition uuid': esp['UUID'],
    });
    const table = await disk.table();
    expect(table?.label).toBe('gpt');
    expect(table?.partitions?.map(({ start, size }) => [start / 2048, size / 2048])).toEqual([
      [1, 40],
      [41, 16],
      [57, 8],
      [65, 1],
      [66, 20],
    ]);
    expect((await systemRun('sgdisk', ['-v', disk.file])).stdout).toContain('No problems found');
  });

  test('for BIOS has an MBR whose root is active, and names no EFI system partition', async () => {
    disk = await PartitionedDisk.make(128 * MIB, 'nvme0n1');
    content = root;
    const { run, write } = runner();
    const { command_result: result } = await write(
      info({ swap_mb: 0, ephemeral_mb: 0, deploy_boot_mode: 'bios' }),
      BIOS,
    );
    expect(result).toMatchObject({
      deploy_result: { result: `prepare_image: image (debian) written to device /dev/nvme0n1 root_uuid=${ROOT_UUID}` },
    });
    expect((await run('standby.get_partition_uuids', {})).command_result).toEqual({
      partitions: { root: '/dev/nvme0n1p1' },
      'root uuid': ROOT_UUID,
      'efi system partition uuid': null,
    });
    const table = await disk.table();
    expect(table).toMatchObject({
      label: 'dos',
      partitions: [{ type: '83', bootable: true, start: 2048, size: 20 * 2048 }],
    });
    expect(await isOnDisk('/dev/nvme0n1p1', root)).toBe(true);
  });

  test('on a GPT for BIOS has a place for GRUB', async () => {
    disk = await PartitionedDisk.make(128 * MIB);
    await runner().write(info(), GPT);
    expect(disk.partitions.map(({ type, size }) => [type, size / 2048])).toEqual([
      ['21686148-6449-6E6F-744E-656564454649', 1],
      ['0FC63DAF-8483-4772-8E79-3D69D8477DE4', 16],
      ['0657FD6D-A4AB-43C4-84E5-0933C84B4F4F', 8],
      ['0FC63DAF-8483-4772-8E79-3D69D8477DE4', 20],
    ]);
  });

  test.each<[string, object, string, string]>([
    [
      'the image is larger than its partition',
      { root_mb: 8 },
      'InvalidCommandParamsError',
      'Root partition is too small for requested image',
    ],
    ['the disk is too small', { root_mb: 2000 }, 'DeploymentError', 'need more than the'],
    ['no size is named', { root_mb: null, root_gb: null }, 'InvalidCommandParamsError', 'needs root_gb'],
    ['a size is none', { swap_mb: 'much' }, 'InvalidCommandParamsError', 'swap_mb is not a number'],
    ['nobody can make the file system', { ephemeral_format: 'xfs' }, 'DeploymentError', 'this ramdisk has no mkfs.xfs'],
    ['the file system is none', { ephemeral_format: '../sh' }, 'InvalidCommandParamsError', 'is no type of one'],
    [
      'there is no ephemeral partition to keep',
      { preserve_ephemeral: true },
      'DeploymentError',
      'cannot keep the ephemeral partition',
    ],
    ['the file is no such image', { disk_format: 'raw' }, 'InvalidImage', 'the file is qcow2'],
  ])('touches nothing when %s', async (_, more, type, why) => {
    disk = await PartitionedDisk.make(128 * MIB);
    await disk.write(Buffer.alloc(4 * MIB, 'what somebody had '), 0);
    const before = await disk.read(0, 128 * MIB);
    const { command_error: error } = await runner().write(info(more), UEFI);
    expect(error).toMatchObject({ type, details: expect.stringContaining(why) as string });
    expect((await disk.read(0, 128 * MIB)).equals(before)).toBe(true);
  });

  test('that is not what it should be leaves a disk without partitions, and without the beginning of the root', async () => {
    disk = await PartitionedDisk.make(128 * MIB);
    await systemRun('sgdisk', ['-n', '1:2048:+8M', disk.file]);
    await disk.rescan();
    const { command_error: error } = await runner().write(info({ os_hash_value: '0'.repeat(64) }), UEFI);
    expect(error).toMatchObject({ type: 'ImageChecksumError' });
    expect(await disk.table()).toBeUndefined();
    const rootAt = (1 + 40 + 16 + 8) * MIB;
    expect((await disk.read(rootAt, MIB)).equals(Buffer.alloc(MIB))).toBe(true);
    expect((await disk.read(0, 128 * MIB)).includes('EFI PART')).toBe(false);
  });

  test('leaves a disk without partitions when a file system cannot be made', async () => {
    disk = await PartitionedDisk.make(128 * MIB);
    disk.files.all.set('/usr/sbin/mkfs.xfs', '');
    const { command_error: error } = await runner().write(info({ ephemeral_format: 'xfs' }), UEFI);
    expect(error?.details).toContain('cannot make a file system (xfs) on /dev/vda2');
    expect(await disk.table()).toBeUndefined();
  });
});

describe('with preserve_ephemeral', () => {
  const keeping = (more: object = {}) => info({ preserve_ephemeral: true, ...more });

  test.each([
    ['a GPT', UEFI, [1, 2, 3, 4, 5]],
    ['an MBR', BIOS, [1, 2, 3, 4]],
  ])('the table of %s and the ephemeral partition stay, and everything else is new', async (_, on, numbers) => {
    disk = await PartitionedDisk.make(128 * MIB);
    await runner().write(info(), on, CONFIG_DRIVE);
    const first = await disk.table();
    const ephemeral = disk.partitions.find(({ kname }) => kname === `vda${numbers.length - 3}`);
    if (!ephemeral) throw new Error('no ephemeral partition');
    await disk.write(Buffer.from('years of work'), ephemeral.start * 512 + 2 * MIB);
    const kept = await disk.read(ephemeral.start * 512, 16 * MIB);
    const last = `/dev/vda${numbers.length}`;
    await disk.write(Buffer.alloc(MIB, 'old root '), disk.partition(last).start * 512 + 4 * MIB);

    const { command_error: error } = await runner().write(keeping(), on, CONFIG_DRIVE);
    expect(error).toBeNull();
    expect(await disk.table()).toEqual(first);
    expect((await disk.read(ephemeral.start * 512, 16 * MIB)).equals(kept)).toBe(true);
    expect(await isOnDisk(last, root)).toBe(true);
  });

  test('they stay also when the image turns out bad, or the sizes are others', async () => {
    disk = await PartitionedDisk.make(128 * MIB);
    await runner().write(info(), UEFI);
    const first = await disk.table();
    const ephemeral = disk.partition('/dev/vda2');
    const kept = await disk.read(ephemeral.start * 512, 16 * MIB);
    for (const more of [{ os_hash_value: '0'.repeat(64) }, { swap_mb: 16 }, { swap_mb: 0 }, { root_mb: 30 }]) {
      expect((await runner().write(keeping(more), UEFI)).command_status).toBe('FAILED');
      expect(await disk.table()).toEqual(first);
      expect((await disk.read(ephemeral.start * 512, 16 * MIB)).equals(kept)).toBe(true);
    }
  });
});

describe('install_bootloader after a partition image', () => {
  const ENTRY = String.raw`efibootmgr -v -c -d /dev/vda -p 1 -w -L ironic1 -l \EFI\BOOT\BOOTX64.EFI`;
  const MOUNTS = '/run/ingot-agent/mounts';
  /** Deploys, and then answers as if what is mounted had these files. */
  async function deployed(on: object, files: string[], config: Partial<AgentConfig> = {}) {
    disk = await PartitionedDisk.make(128 * MIB);
    const { run, write } = runner(config);
    await write(info(), on);
    const { command_result: uuids } = await run('standby.get_partition_uuids', {});
    disk.calls.length = 0;
    disk.others = async (file) => {
      // What is copied to the EFI system partition is there from then on.
      if (file === 'cp') disk.files.all.set(`${MOUNTS}/esp/EFI/BOOT/BOOTX64.EFI`, '');
      return { stdout: '', stderr: '', exitCode: 0 };
    };
    for (const file of ['/sys/class/block/vda1/partition', ...files]) disk.files.all.set(file, '1');
    const found = uuids as Record<string, string | null>;
    return run('image.install_bootloader', {
      root_uuid: found['root uuid'],
      efi_system_part_uuid: found['efi system partition uuid'],
      target_boot_mode: 'uefi',
    });
  }
  const UEFI_FIRMWARE = '/sys/firmware/efi/fw_platform_size';

  test('by UEFI takes the boot loader that the image has in /boot/efi, without running anything of it', async () => {
    const { command_error: error } = await deployed(UEFI, [
      UEFI_FIRMWARE,
      `${MOUNTS}/root/boot/efi/EFI/BOOT/BOOTX64.EFI`,
    ]);
    expect(error).toBeNull();
    expect(disk.calls.filter((call) => /^(?:cp|chroot|efibootmgr -v -c)/.test(call))).toEqual([
      `cp -R ${MOUNTS}/root/boot/efi/. ${MOUNTS}/esp/`,
      ENTRY,
    ]);
  });

  test.each([
    ['UEFI', UEFI, [UEFI_FIRMWARE], 'neither its EFI system partition nor /boot/efi of the image has a boot loader'],
    ['BIOS', BIOS, [], 'its image brings no boot loader'],
  ])('by %s without one is refused, unless GRUB is allowed', async (_, on, files, why) => {
    const { command_error: error } = await deployed(on, files);
    expect(error).toMatchObject({ type: 'InvalidImage', details: expect.stringContaining(why) as string });
    expect(error?.details).toContain('CVE-2026-43003');
    expect(disk.calls.some((call) => call.startsWith('chroot'))).toBe(false);
  });

  test('by BIOS installs GRUB where that is allowed', async () => {
    const { command_error: error } = await deployed(BIOS, [], { enableBiosBootloaderInstall: true });
    expect(error).toBeNull();
    expect(disk.calls.filter((call) => call.startsWith('chroot'))).toEqual([
      `chroot ${MOUNTS}/root /bin/sh -c grub-install /dev/vda`,
      `chroot ${MOUNTS}/root /bin/sh -c grub-mkconfig -o /boot/grub/grub.cfg`,
    ]);
    expect(disk.calls).toContain(`mount /dev/vda3 ${MOUNTS}/root`);
  });
});
