import { describe, expect, test } from 'vitest';

import { deleteConfiguration, previewConfiguration, previewDeletionOf } from '../../../agent/raid/raid.ts';
import type { AgentOs, BlockDevice } from '../../../agent/os/door.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';
import { memoryFiles } from '../../fakes/agent-os.ts';

const GUARDS = { guardShared: true, guardContents: [], guardRemovable: false };

/** A disk on which there are zeros, and that takes no writes. */
const blank = async (path: string): Promise<BlockDevice> => ({
  path,
  sizeBytes: 2 ** 30,
  sectorBytes: 512,
  read: async (buffer) => void buffer.fill(0),
  readBack: async (buffer) => void buffer.fill(0),
  write: () => Promise.reject(new Error(`somebody writes to ${path}`)),
  zero: () => Promise.reject(new Error(`somebody writes to ${path}`)),
  tryZeroing: () => Promise.reject(new Error(`somebody writes to ${path}`)),
  flush: async () => undefined,
  close: async () => undefined,
});

/** A machine of the fixtures on which nothing can be written, and no program but one that starts arrays may be run. */
function machine(
  name: string,
  slaves: Readonly<Record<string, string>> = {},
  answers: Readonly<Record<string, string>> = {},
): AgentOs & { calls: string[] } {
  const base = machineOs(name, {
    run: async (file, args) => {
      const command = [file, ...args].join(' ');
      const answer = answers[command] ?? answers[file];
      if (answer !== undefined) return { stdout: answer, stderr: '', exitCode: 0 };
      if (command === 'modprobe md_mod' || command === 'mdadm --assemble --scan')
        return { stdout: '', stderr: '', exitCode: 0 };
      throw new Error(`somebody runs ${command}`);
    },
    openDevice: (path) => blank(path),
  });
  const md = memoryFiles(slaves);
  return {
    ...base,
    files: {
      ...base.files,
      list: async (path) => [...(await base.files.list(path)), ...(await md.list(path))],
      write: async () => undefined,
    },
  };
}

const WANTED = {
  logical_disks: [
    { controller: 'software', raid_level: '1', size_gb: 1, volume_name: 'root' },
    { controller: 'software', raid_level: '0', size_gb: 'MAX', volume_name: 'scratch' },
  ],
};
const pair = (wanted: typeof WANTED) => ({
  logical_disks: wanted.logical_disks.map((one) => ({
    ...one,
    physical_disks: [{ name: '/dev/vda' }, { name: '/dev/sda' }],
  })),
});

describe('a dry run of software RAID', () => {
  test('tells partitions, arrays and minutes, and what is to be done before; nothing is changed', async () => {
    const os = machine('qemu-q35');
    const preview = await previewConfiguration(os, { uuid: 'u' }, pair(WANTED), GUARDS);
    expect(preview).toMatchObject({
      dry_run: true,
      arrays: [
        { device: '/dev/md0', name: 'root', level: '1' },
        { device: '/dev/md1', name: 'scratch', level: '0', resync_minutes: 0 },
      ],
    });
    expect(preview.arrays[0]?.resync_minutes).toBeGreaterThan(0);
    expect(preview.lines).toContainEqual(expect.stringMatching(/^\/dev\/md0: RAID 1 "root" on \S+ \S+$/));
    expect(preview.partitions).toHaveLength(4);
    expect(preview.minutes).toBeGreaterThan(0);
    // The fixture's second disk has partitions.
    expect(preview.before.join('; ')).toMatch(/partitions on \/dev\/sda/);
    const gone = { dry_run: true as const, arrays: [], stray_members: [], wiped_disks: ['/dev/sda'], minutes: 0 };
    const after = await previewConfiguration(os, { uuid: 'u' }, pair(WANTED), GUARDS, gone);
    expect(after.before.join('; ')).not.toMatch(/partitions/);
    expect(after.deletion).toBe(gone);
  });

  test('of a deletion tells the fate of each array, and the disks that lose their tables', async () => {
    const slaves = { '/sys/block/md127/slaves/sdi1/size': '1', '/sys/block/md127/slaves/sdj1/size': '1' };
    const os = machine('rack-server-12-disks', slaves);
    const preview = await previewDeletionOf(os, { uuid: 'u' }, GUARDS);
    expect(preview.arrays).toEqual([
      { device: '/dev/md127', name: null, members: ['/dev/sdi1', '/dev/sdj1'], fate: 'delete', why: '' },
    ]);
    expect(preview.wiped_disks).toEqual(['/dev/sdi', '/dev/sdj']);
    expect(preview.minutes).toBeGreaterThan(0);
    // The same machine and the real step: it begins with the first thing that the plan says.
    const narration = { log: () => undefined, step: () => undefined };
    await expect(deleteConfiguration(os, { uuid: 'u' }, GUARDS, narration)).rejects.toThrow(
      /somebody (?:writes to|runs mdadm --stop) \/dev\/md127/,
    );
  });

  test('keeps what skip_block_devices names: it is in no deletion, and is not made once more', async () => {
    const slaves = { '/sys/block/md127/slaves/sdi1/size': '1', '/sys/block/md127/slaves/sdj1/size': '1' };
    const os = machine('rack-server-12-disks', slaves, { 'mdadm --detail --export /dev/md127': 'MD_NAME=any:data\n' });
    const node = { uuid: 'u', properties: { skip_block_devices: [{ volume_name: 'data' }] } };
    const deletion = await previewDeletionOf(os, node, GUARDS);
    expect(deletion.arrays).toMatchObject([{ device: '/dev/md127', name: 'data', fate: 'keep' }]);
    expect(deletion).toMatchObject({ wiped_disks: [], minutes: 0 });
    const data = { controller: 'software', raid_level: '1', size_gb: 'MAX', volume_name: 'data' };
    const creation = await previewConfiguration(os, node, { logical_disks: [data] }, GUARDS);
    expect(creation).toMatchObject({ before: [], partitions: [], arrays: [], minutes: 0 });
    // The real step with the same list leaves the machine as it is.
    const narration = { log: () => undefined, step: () => undefined };
    await deleteConfiguration(os, node, GUARDS, narration);
  });
});

test('an array that stays, and whose contents cannot be taken away, is an error', async () => {
  const slaves = Object.fromEntries(
    ['md126', 'md127'].flatMap((array) =>
      ['sdi1', 'sdj1'].map((part) => [`/sys/block/${array}/slaves/${part}/size`, '1']),
    ),
  );
  const { blockdevices } = JSON.parse(fixture('rack-server-12-disks', 'lsblk.json')) as {
    blockdevices: { kname: string }[];
  };
  const second = blockdevices.filter(({ kname }) => kname === 'md127').map((line) => ({ ...line, kname: 'md126' }));
  const os = machine('rack-server-12-disks', slaves, {
    lsblk: JSON.stringify({ blockdevices: [...blockdevices, ...second] }),
    'mdadm --detail --export /dev/md126': 'MD_NAME=any:data\n',
    'mdadm --detail --export /dev/md127': 'MD_NAME=any:other\n',
  });
  const node = { uuid: 'u', properties: { skip_block_devices: [{ volume_name: 'data' }] } };
  const { arrays } = await previewDeletionOf(os, node, GUARDS);
  expect(arrays).toMatchObject([
    { device: '/dev/md126', fate: 'keep' },
    { device: '/dev/md127', fate: 'wipe' },
  ]);
  const narration = { log: () => undefined, step: () => undefined };
  await expect(deleteConfiguration(os, node, GUARDS, narration)).rejects.toThrow('somebody writes to /dev/md127');
});
