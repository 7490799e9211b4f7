import { describe, expect, test } from 'vitest';

import type { ExaminedDisk } from '../../../agent/disk/examine.ts';
import { readIdentity } from '../../../agent/disk/identity.ts';
import { type GuardOptions, guardDisk, refuseGuarded } from '../../../agent/disk/guard.ts';
import { describeStorage } from '../../../agent/hardware/disks.ts';
import { readLimits } from '../../../agent/hardware/limits.ts';
import { type Block, parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { fixture, machineOs } from '../../fakes/machine.ts';

const blocks = parseLsblk(fixture('qemu-q35', 'lsblk.json'));
const strict: GuardOptions = { skipped: new Set(), guardShared: true, guardContents: [], guardRemovable: true };
const lax: GuardOptions = { ...strict, guardShared: false, guardRemovable: false };

/** sda of a q35 machine, after nothing was found on it, with changes: to it, to lines of lsblk, and further lines. */
async function sda(
  change: Partial<ExaminedDisk> = {},
  lines: Record<string, Partial<Block>> = {},
  further: Partial<Block>[] = [],
): Promise<ExaminedDisk> {
  const os = machineOs('qemu-q35');
  const part = blocks.find(({ kname }) => kname === 'sda1');
  if (!part) throw new Error('the fixture has no sda1');
  const changed = [
    ...blocks.map((block) => ({ ...block, ...lines[block.kname] })),
    ...further.map((more) => ({ ...part, ...more })),
  ];
  const { disks } = await describeStorage(os, changed);
  const disk = disks.find(({ kname }) => kname === 'sda');
  if (!disk) throw new Error('the fixture has no sda');
  const limits = await readLimits(os, 'sda');
  const identity = await readIdentity(os.files, 'sda');
  return { ...disk, uses: [], contents: [], unreadable: [], limits, identity, nvme: undefined, ...change };
}
const codes = (disk: ExaminedDisk, options = strict) => guardDisk(disk, options).map(({ code }) => code);

describe('the guard', () => {
  test.each([
    ['GPFS', { parttype: '37AFFC90-EF7D-4E96-91C3-2D7AE055B174' }],
    ['GPFS', { parttype: '37affc90-ef7d-4e96-91c3-2d7ae055b174' }],
    ['VMFS', { parttype: 'aa31e02a-400f-11db-9590-000c2911d1b8' }],
    ['VMFS', { parttype: '0xfb' }],
    ['VMFS', { fstype: 'VMFS_volume_member' }],
    ['GFS2', { fstype: 'gfs2' }],
    ['OCFS2', { fstype: 'ocfs2' }],
  ])('keeps a disk with a %s partition (%j), unless the operator said otherwise', async (name, change) => {
    const disk = await sda({}, { sda1: change });
    expect(() => refuseGuarded(disk, strict)).toThrow(`/dev/sda1 has a shared ${name} file system`);
    expect(guardDisk(disk, lax)).toEqual([]);
  });

  test('keeps a disk on which a shared file system was read that lsblk does not name', async () => {
    const disk = await sda({ contents: [{ kname: 'sda1', name: 'VMFS', group: 'shared' }] });
    expect(guardDisk(disk, strict)).toEqual([
      {
        code: 'shared-filesystem',
        verdict: 'refuse',
        device: '/dev/sda1',
        text: '/dev/sda1 has a shared VMFS file system, which other machines may use',
        remedy: 'boot with ipa-guard-special-filesystems=false to have it erased nevertheless',
      },
    ]);
  });

  test('keeps volumes and encryption only where it is asked to', async () => {
    const disk = await sda(
      { contents: [{ kname: 'sda', name: 'Ceph BlueStore', group: 'ceph' }] },
      { sda1: { fstype: 'LVM2_member' } },
    );
    expect(codes(disk)).toEqual([]);
    const asked = guardDisk(disk, { ...strict, guardContents: ['lvm', 'ceph', 'zfs'] });
    expect(asked.map(({ text }) => text)).toEqual([
      '/dev/sda1 has LVM2_member on it, which ingot-guard-contents keeps',
      '/dev/sda has Ceph BlueStore on it, which ingot-guard-contents keeps',
    ]);
  });

  test('keeps what is mounted or swapped to, whatever the operator said', async () => {
    expect(codes(await sda({}, { sda1: { mountpoint: '/data' } }), lax)).toEqual(['mounted']);
    expect(codes(await sda({}, { sda1: { mountpoint: '[SWAP]' } }), lax)).toEqual(['swap']);
    const elsewhere = await sda({
      uses: [{ kname: 'sda1', code: 'mounted', text: 'is mounted at /mnt in the namespace of process 7 (podman)' }],
    });
    expect(() => refuseGuarded(elsewhere, lax)).toThrow(
      'cannot change /dev/sda: /dev/sda1 is mounted at /mnt in the namespace of process 7 (podman)',
    );
  });

  test('keeps every device of a btrfs of which one is mounted', async () => {
    const disk = await sda(
      { uses: [{ kname: 'sda1', code: 'mounted', text: 'is mounted at /pool' }] },
      { sda1: { fstype: 'btrfs', uuid: 'one' } },
      [{ kname: 'sda2', fstype: 'btrfs', uuid: 'one' }],
    );
    expect(guardDisk(disk, lax).map(({ text }) => text)).toEqual([
      '/dev/sda1 is mounted at /pool',
      '/dev/sda2 is part of a mounted btrfs',
    ]);
  });

  test('keeps what a volume, an array or bcache holds, and names the holder', async () => {
    for (const type of ['lvm', 'raid1', 'crypt', 'disk']) {
      const disk = await sda({}, {}, [{ kname: 'held0', pkname: 'sda1', type, size: 4096 }]);
      expect(guardDisk(disk, lax).map(({ code, text }) => [code, text])).toEqual([
        ['held', `/dev/sda1 is held by /dev/held0 (${type})`],
      ]);
    }
  });

  test('keeps what is read-only, removable, virtual or named, and says which of them is no failure', async () => {
    const disk = await sda({ virtualMedia: 'it says so', isRemovable: true }, { sda: { ro: true } });
    const reasons = guardDisk(disk, { ...strict, skipped: new Set(['/dev/sda']) });
    expect(reasons.map(({ code, verdict }) => [code, verdict])).toEqual([
      ['skip-listed', 'leave'],
      ['virtual-media', 'leave'],
      ['read-only', 'refuse'],
      ['removable', 'refuse'],
    ]);
    expect(codes(disk, lax)).toEqual(['virtual-media', 'read-only']);
  });

  test('keeps what it cannot look into while it looks for something', async () => {
    const disk = await sda({ unreadable: [{ kname: 'sda1', why: 'EIO' }] });
    expect(codes(disk)).toEqual(['unreadable']);
    expect(codes(disk, { ...lax, guardContents: ['lvm'] })).toEqual(['unreadable']);
    expect(codes(disk, lax)).toEqual([]);
  });

  test('lets an ordinary disk pass', async () => {
    expect(guardDisk(await sda(), strict)).toEqual([]);
  });
});
