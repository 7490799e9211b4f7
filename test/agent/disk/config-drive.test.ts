import { gzipSync } from 'node:zlib';

import { afterEach, describe, expect, test } from 'vitest';

import { unpackConfigDrive, writeConfigDrive } from '../../../agent/disk/config-drive.ts';
import type { AgentOs } from '../../../agent/os/door.ts';
import { systemRun } from '../../../system/run.ts';
import { PartitionedDisk } from '../../fakes/partitioned-disk.ts';

const MIB = 1024 ** 2;

/** The first sectors of an ISO 9660 file system. */
const iso = Buffer.alloc(40 * 2048);
iso.write('\u0001CD001\u0001', 0x80_00, 'latin1');

describe('a config drive', () => {
  test('is base64 of gzip, with line breaks or without, or the file system itself', () => {
    const packed = gzipSync(iso);
    const lines = packed.toString('base64').replaceAll(/.{76}/g, '$&\n');
    for (const content of [Buffer.from(packed.toString('base64')), Buffer.from(lines), packed, iso])
      expect(unpackConfigDrive(content).equals(iso)).toBe(true);
  });

  test.each([
    ['text', Buffer.from('{"hostname": "x"}'), 'no base64 of gzip'],
    ['base64 of text', Buffer.from(Buffer.from('hello').toString('base64')), 'no base64 of gzip'],
    ['gzip of text', gzipSync('hello'), 'neither ISO 9660 nor FAT'],
    ['more than 64 MiB', gzipSync(Buffer.alloc(65 * 1024 ** 2)), 'larger than 64 MiB'],
    ['nothing', Buffer.alloc(0), 'no base64 of gzip'],
  ])('is refused when it is %s', (_, content, why) => {
    expect(() => unpackConfigDrive(content)).toThrow(why);
  });
});

const disks: PartitionedDisk[] = [];
afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close();
});

async function diskOf(sizeBytes: number, words: readonly string[] | string, kname?: string): Promise<PartitionedDisk> {
  const disk = await PartitionedDisk.make(sizeBytes, kname);
  disks.push(disk);
  if (typeof words === 'string') await systemRun('sfdisk', ['--quiet', disk.file], { input: words });
  else await systemRun('sgdisk', [...words, disk.file]);
  await disk.rescan();
  return disk;
}

describe('placing a config drive', () => {
  test.each<[string, number, readonly string[] | string, string | undefined, string]>([
    ['a GPT', 200 * MIB, ['-n', '1:2048:+8M'], undefined, '/dev/vda2'],
    ['a GPT on an NVMe disk', 200 * MIB, ['-n', '1:2048:+8M', '-n', '2:0:+1M'], 'nvme0n1', '/dev/nvme0n1p3'],
    ['a GPT of more than 2 TiB', 3 * 1024 ** 4, ['-n', '1:2048:+8M'], undefined, '/dev/vda2'],
    ['an MBR', 200 * MIB, 'label: dos\n2048,16384,83\n', undefined, '/dev/vda2'],
    ['an MBR on a flash card', 200 * MIB, 'label: dos\n2048,16384,83\n', 'mmcblk0', '/dev/mmcblk0p2'],
    ['an MBR without a signature', 200 * MIB, 'label: dos\nlabel-id: 0\n2048,16384,83\n', undefined, '/dev/vda2'],
    ['an MBR on a disk of more than 2 TiB', 3 * 1024 ** 4, 'label: dos\n2048,16384,83\n', undefined, '/dev/vda2'],
    [
      'an MBR with an extended partition',
      200 * MIB,
      'label: dos\n2048,16384,83\n20480,8192,5\n,2048,83\n',
      undefined,
      '/dev/vda4',
    ],
  ])('on %s', async (_, size, words, kname, path) => {
    const disk = await diskOf(size, words, kname);
    const before = await disk.table();
    expect(await writeConfigDrive(disk.os(), disk.path, iso, false)).toBe(path);
    const { start, size: sectors } = disk.partition(path);
    expect((await disk.read(start * 512, iso.length)).equals(iso)).toBe(true);
    expect(sectors).toBe((64 * MIB) / 512);
    const after = await disk.table();
    expect(after?.partitions?.filter(({ node }) => before?.partitions?.some((one) => one.node === node))).toEqual(
      before?.partitions,
    );
    const { stdout } = await systemRun('sfdisk', ['--verify', disk.file]);
    expect(stdout).toContain('No errors detected.');
  });

  test('in less than 64 MiB, where there is no more and it fits', async () => {
    const disk = await diskOf(100 * MIB, ['-n', '1:2048:+90M']);
    await writeConfigDrive(disk.os(), disk.path, iso, false);
    const { start, size } = disk.partition('/dev/vda2');
    expect([start, size * 512 < 9 * MIB]).toEqual([91 * 2048, true]);
  });

  test('in the partition that the image brings for it, by its name in the table', async () => {
    const disk = await diskOf(100 * MIB, ['-n', '1:2048:+8M', '-n', '2:0:+1M', '-c', '2:CONFIG-2', '-n', '3:0:+1M']);
    expect(await writeConfigDrive(disk.os(), disk.path, iso, false)).toBe('/dev/vda2');
    expect((await disk.read(disk.partition('/dev/vda2').start * 512, iso.length)).equals(iso)).toBe(true);
    expect(disk.calls.filter((call) => call.startsWith('sgdisk'))).toEqual([]);
  });

  test.each<[string, readonly string[] | string, string]>([
    ['there is no room', ['-n', '1:2048:0'], 'the image leaves 0 MiB'],
    ['an MBR has four partitions', `label: dos\n${',2048,83\n'.repeat(4)}`, 'four partitions already'],
    ['there is no table', 'label: dos\nlabel-id: 0\n', 'has no partition table'],
  ])('is refused, and nothing is changed, when %s', async (_, words, why) => {
    const disk = await diskOf(100 * MIB, words);
    if (why.includes('no partition table')) await disk.write(Buffer.alloc(512), 0);
    const before = await disk.read(0, 100 * MIB);
    await expect(writeConfigDrive(disk.os(), disk.path, iso, false)).rejects.toThrow(why);
    expect((await disk.read(0, 100 * MIB)).equals(before)).toBe(true);
  });

  test.each<[string, number, boolean]>([
    ['for sectors of 4096 bytes', 4096, false],
    ['when the configuration wants it', 512, true],
  ])('is made anew as FAT, with its files, %s', async (_, sectorBytes, mustRebuild) => {
    const disk = await diskOf(100 * MIB, ['-n', '1:2048:+8M', '-n', '2:0:+64M', '-c', '2:config-2']);
    const os = disk.os();
    disk.others = async () => ({ stdout: '', stderr: '', exitCode: 0 });
    const openDevice: AgentOs['openDevice'] = async (path, mode) => ({
      ...(await os.openDevice(path, mode)),
      sectorBytes,
    });
    await writeConfigDrive({ ...os, openDevice }, disk.path, iso, mustRebuild);
    const work = '/run/ingot-agent/config-drive';
    expect(disk.calls.filter((call) => /^(?:modprobe|mount|umount|mkfs|cp)/.test(call))).toEqual([
      'modprobe loop',
      `mount -o loop,ro ${work}/drive ${work}/from`,
      'mkfs.vfat -n CONFIG-2 /dev/vda2',
      `mount -t vfat /dev/vda2 ${work}/to`,
      `cp -RL ${work}/from/. ${work}/to/`,
      `umount ${work}/to`,
      `umount ${work}/from`,
    ]);
    const { stdout } = await systemRun('blkid', ['-p', '-o', 'export', await disk.copyOut('/dev/vda2')]);
    expect(stdout).toMatch(/^LABEL=CONFIG-2$/m);
    expect(disk.files.all.has(`${work}/drive`)).toBe(false);
  });
});
