import { describe, expect, test } from 'vitest';

import type { AgentOs } from '../../../agent/os/door.ts';
import { parseMountInfo, parseSwaps } from '../../../agent/write-image/mounts.ts';
import { examineTarget } from '../../../agent/write-image/target.ts';
import type { Run } from '../../../system/run.ts';
import { fakeOs, memoryFiles } from '../../fakes/agent-os.ts';
import { fixture } from '../../fakes/machine.ts';

/** As kernel 6.12 writes it for a server whose root is on an array, /boot on NVMe, with a blank in one mount point. */
const MOUNTINFO = `22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
27 1 9:127 / / rw,relatime shared:1 - ext4 /dev/md127 rw,errors=remount-ro
61 27 259:1 / /boot rw,relatime shared:31 - ext4 /dev/nvme0n1 rw
72 27 0:48 /@data /mnt/my\\040data rw,relatime shared:40 - btrfs /dev/disk/by-label/data rw,subvolid=256
`;
const SWAPS = `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sde                                partition\t8388604\t\t0\t\t-2
/srv/swap\\040file                       file\t\t1048572\t\t0\t\t-3
`;

const GIB = 2 ** 30;
type Change = Record<string, unknown>;

/** The recorded server, with rows of lsblk changed. Opening a device gives its size alone: nothing is written here. */
function server(
  changes: Readonly<Record<string, Change>> = {},
  files: Readonly<Record<string, string>> = {},
  machine = 'rack-server-12-disks',
): AgentOs {
  const { blockdevices } = JSON.parse(fixture(machine, 'lsblk.json')) as {
    blockdevices: (Change & { kname: string })[];
  };
  const rows = blockdevices.map((row) => ({ ...row, ...changes[row.kname] }));
  const run: Run = async (file) => {
    if (file !== 'lsblk') throw new Error(`no ${file} here`);
    return { stdout: JSON.stringify({ blockdevices: rows }), stderr: '', exitCode: 0 };
  };
  const nodes = Object.fromEntries(rows.map(({ kname }) => [`/dev/${kname}`, '']));
  const memory = memoryFiles({
    ...nodes,
    '/proc/self/mountinfo': MOUNTINFO,
    '/proc/swaps': SWAPS,
    '/sys/class/block/md127/dev': '9:127\n',
    '/sys/class/block/nvme0n1/dev': '259:1\n',
    ...files,
  });
  const links: Record<string, string> = { '/dev/disk/by-label/data': '/dev/sdc', '/dev/disk/by-id/wwn-1': '/dev/sda' };
  return fakeOs({
    run,
    files: { ...memory, resolve: async (path) => memory.resolve(links[path] ?? path) },
    openDevice: async (path) =>
      ({ path, sizeBytes: 8 * GIB, sectorBytes: 512, close: async () => undefined }) as Awaited<
        ReturnType<AgentOs['openDevice']>
      >,
  });
}

const refusals = async (os: AgentOs, path: string) => (await examineTarget(os, path)).refusals;

describe('what an image may be written to', () => {
  test('a free disk, by its name or a link to it, with what was looked at', async () => {
    expect(await examineTarget(server(), '/dev/disk/by-id/wwn-1')).toEqual({
      path: '/dev/sda',
      kind: 'block device',
      sizeBytes: 8 * GIB,
      sectorBytes: 512,
      description: expect.stringMatching(/sas, serial ZA100000$/) as unknown,
      refusals: [],
      passed: [
        'whole disk',
        'writable',
        'not the running system',
        'not mounted',
        'no swap',
        'not held',
        'no shared file system',
      ],
    });
  });

  test('not the disks that the running system is on, through the array that holds them', async () => {
    for (const disk of ['sdi', 'sdj', 'sdi1', 'md127'])
      expect((await refusals(server(), `/dev/${disk}`)).join('; ')).toContain(
        '/dev/md127 is the root of the running system',
      );
    expect(await refusals(server(), '/dev/sdi')).toContainEqual('it is held by /dev/md127');
  });

  test('not one that is mounted: by number, by what was mounted, or because lsblk says so', async () => {
    expect(await refusals(server(), '/dev/nvme0n1')).toEqual(['/dev/nvme0n1 is mounted at /boot']);
    expect(await refusals(server(), '/dev/sdc')).toEqual(['/dev/sdc is mounted at /mnt/my data']);
    expect(await refusals(server({ sdd: { mountpoint: '/mnt/data' } }), '/dev/sdd')).toEqual([
      '/dev/sdd is mounted at /mnt/data',
    ]);
  });

  test('not swap, nor what something holds that is not mounted', async () => {
    expect(await refusals(server(), '/dev/sde')).toEqual(['the kernel swaps to /dev/sde']);
    const held = server({}, { '/sys/class/block/sdf/holders/dm-3': '' });
    expect(await refusals(held, '/dev/sdf')).toEqual(['it is held by /dev/dm-3']);
  });

  test('not what is read-only, shared with other machines, a partition, or no disk at all', async () => {
    expect(await refusals(server({ sdb: { ro: true } }), '/dev/sdb')).toEqual(['it is read-only']);
    expect(await refusals(server({ sdb: { fstype: 'VMFS_volume_member' } }), '/dev/sdb')).toEqual([
      '/dev/sdb has a shared VMFS file system',
    ]);
    const q35 = server({}, {}, 'qemu-q35');
    expect(await refusals(q35, '/dev/sda1')).toEqual([
      'it is a partition of /dev/sda, and whole-disk images are written',
    ]);
    expect(await refusals(q35, '/dev/sr0')).toEqual(['it is no disk (rom)']);
    expect(await refusals(q35, '/dev/vda')).toEqual([]);
  });

  test('nothing where it cannot be told', async () => {
    const unknown = server({}, { '/dev/mydisk': '' });
    expect(await refusals(unknown, '/dev/mydisk')).toEqual([
      'lsblk does not know it, so that nobody can tell what uses it',
    ]);
    const noLsblk = { ...server(), run: fakeOs().run };
    await expect(examineTarget(noLsblk, '/dev/sda')).rejects.toThrow('cannot tell what uses /dev/sda');
    const noProc = server();
    noProc.files.read = async () => undefined;
    await expect(examineTarget(noProc, '/dev/sda')).rejects.toThrow('cannot tell what is mounted');
    await expect(examineTarget(server(), '/dev/sdzz')).rejects.toThrow('there is no such device or file');
  });

  test('a regular file, unless it is swap or a loop device stands on it', async () => {
    const os = server(
      {},
      { '/srv/swap file': '', '/srv/disk': '', '/srv/other': '', '/sys/block/loop3/loop/backing_file': '/srv/other\n' },
    );
    expect(await examineTarget(os, '/srv/disk')).toMatchObject({ kind: 'file', refusals: [] });
    expect(await refusals(os, '/srv/swap file')).toEqual(['the kernel swaps to it']);
    expect(await refusals(os, '/srv/other')).toEqual(['it is attached as /dev/loop3']);
  });
});

describe('what the kernel says of mounts', () => {
  test('mountinfo with and without optional fields', () => {
    expect(parseMountInfo('36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw,errors=continue\n')).toEqual([
      { device: '98:0', mountPoint: '/mnt2', source: '/dev/root' },
    ]);
    expect(parseMountInfo(MOUNTINFO)).toHaveLength(4);
    expect(parseMountInfo('garbage\n\n')).toEqual([]);
  });
  test('swaps', () => {
    expect(parseSwaps(SWAPS)).toEqual(['/dev/sde', '/srv/swap file']);
    expect(parseSwaps('')).toEqual([]);
  });
});
