import { describe, expect, test } from 'vitest';

import { guardDevice } from '../../../agent/disk/guard.ts';
import { type Block, parseLsblk, withDescendants } from '../../../agent/hardware/lsblk.ts';
import { fixture } from '../../fakes/machine.ts';

const blocks = parseLsblk(fixture('qemu-q35', 'lsblk.json'));
function familyWith(change: Partial<Block>): Block[] {
  return withDescendants(
    blocks.map((block) => (block.kname === 'sda1' ? { ...block, ...change } : block)),
    'sda',
  );
}

describe('the guard', () => {
  test.each([
    ['GPFS', { parttype: '37AFFC90-EF7D-4E96-91C3-2D7AE055B174' }],
    ['GPFS', { parttype: '37affc90-ef7d-4e96-91c3-2d7ae055b174' }],
    ['VMFS', { parttype: 'aa31e02a-400f-11db-9590-000c2911d1b8' }],
    ['VMFS', { parttype: '0xfb' }],
    ['VMFS', { fstype: 'VMFS_volume_member' }],
    ['GFS2', { fstype: 'gfs2' }],
  ])('keeps a disk with a %s partition (%j), unless the operator said otherwise', (name, change) => {
    expect(() => guardDevice(familyWith(change), { allowShared: false })).toThrow(`shared ${name} file system`);
    expect(() => guardDevice(familyWith(change), { allowShared: true })).not.toThrow();
  });

  test('keeps a disk of which something is mounted, whatever the operator said', () => {
    const family = familyWith({ mountpoint: '/data' });
    expect(() => guardDevice(family, { allowShared: true })).toThrow('/dev/sda1 is mounted at /data');
  });

  test('lets an ordinary disk pass', () => {
    expect(() => guardDevice(familyWith({}), { allowShared: false })).not.toThrow();
  });
});
