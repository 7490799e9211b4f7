import { describe, expect, test } from 'vitest';

import type { DiskModel } from '../../../agent/hardware/disk-model.ts';
import { inStableOrder, listDisks } from '../../../agent/hardware/disks.ts';
import { findRootDisk } from '../../../agent/hardware/inventory.ts';
import { AllDisksSkipped, chooseRootDisk, considerRootDisk } from '../../../agent/hardware/root-disk.ts';
import { idleSkips, skippedDisks } from '../../../agent/hardware/skip-list.ts';
import { machineOs } from '../../fakes/machine.ts';

const SERVER = 'rack-server-12-disks';
const node = (properties: Record<string, unknown>, instance: Record<string, unknown> = {}) => ({
  uuid: 'u',
  properties,
  instance_info: instance,
});

describe('the root disk', () => {
  test('without hints is the smallest of at least 4 GiB', async () => {
    expect((await findRootDisk(machineOs('qemu-q35'), undefined)).name).toBe('/dev/vda');
  });

  test('is the one that a hint names, wherever it stands in the list', async () => {
    const disk = await findRootDisk(machineOs(SERVER), node({ root_device: { serial: '2227385E7F10' } }));
    expect(disk.name).toBe('/dev/nvme1n1');
  });

  test('hints of the instance count before those of the machine', async () => {
    const both = node({ root_device: { name: '/dev/sda' } }, { root_device: { name: '/dev/sdb' } });
    expect((await findRootDisk(machineOs(SERVER), both)).name).toBe('/dev/sdb');
  });

  test('is refused when two disks match, naming both', async () => {
    const work = findRootDisk(machineOs(SERVER), node({ root_device: { model: '<in> micron' } }));
    await expect(work).rejects.toMatchObject({
      type: 'DeviceNotFound',
      details: expect.stringMatching(
        /2 disks match.*nvme0n1.*2227385E7F00.*nvme1n1.*2227385E7F10.*serial or wwn/,
      ) as string,
    });
  });

  test('skipping one of two matching disks makes the choice clear', async () => {
    const clear = node({ root_device: { model: '<in> micron' }, skip_block_devices: [{ serial: '2227385E7F00' }] });
    expect((await findRootDisk(machineOs(SERVER), clear)).name).toBe('/dev/nvme1n1');
  });

  test('no match lists every disk and what is wrong with it', async () => {
    const work = findRootDisk(machineOs('qemu-q35'), node({ root_device: { serial: 'DISK9', tran: 'sata' } }));
    const error = (await work.catch((reason: unknown) => reason)) as { details: string };
    expect(error.details).toContain(
      '/dev/vda (8.00 GiB, serial DISK0): serial is DISK0, not DISK9, tran is unknown, not sata',
    );
    expect(error.details).toContain(
      '/dev/sda (10.00 GiB, QEMU HARDDISK, serial QM00013): serial is QM00013 or QEMU_HARDDISK_QM00013, not DISK9',
    );
    expect(error.details).not.toContain('sr0');
    expect(error.details).not.toContain('zram0');
  });

  test('a list of devices to skip that cannot be honoured is refused', async () => {
    const records = await listDisks(machineOs(SERVER));
    const skip = (list: unknown) => skippedDisks(node({ skip_block_devices: list }), records);
    expect(() => skip([{ volume_name: 'data', serial: 'x' }])).toThrow('volume_name stands alone');
    expect(() => skip([{ volume_name: 7 }])).toThrow('no text');
    expect(() => skip(['sda'])).toThrow('no list');
    expect(() => skip('sda')).toThrow('no list');
    expect(skippedDisks(node({ skip_block_devices: [{ rotational: true }] }), records).size).toBe(6);
  });

  test('a disk that is skipped takes the array on it with it: what is written to that is written to the disk', async () => {
    const records = await listDisks(machineOs(SERVER));
    const skip = (...list: unknown[]) => [...skippedDisks(node({ skip_block_devices: list }), records)].toSorted();
    expect(skip({ name: '/dev/sdj' })).toEqual(['/dev/md127', '/dev/sdj']);
    expect(skip({ name: '/dev/md127' })).toEqual(['/dev/md127']);
    expect(skip({ name: '/dev/sda' })).toEqual(['/dev/sda']);
  });

  test('an entry of the list that keeps no disk is told', async () => {
    const records = await listDisks(machineOs(SERVER));
    const list = [{ serial: 'MISSPELT' }, { name: '/dev/sda1' }, { volume_name: 'old' }, { name: '/dev/sda' }];
    expect(idleSkips(node({ skip_block_devices: list }), records)).toEqual([
      expect.stringContaining('{"serial":"MISSPELT"}, which no disk of this machine matches'),
      expect.stringContaining('{"name":"/dev/sda1"}'),
      expect.stringContaining('{"volume_name":"old"}'),
    ]);
    expect(idleSkips(node({}), records)).toEqual([]);
  });

  test('volume_name skips an array and every disk that it is on, by what its members say', async () => {
    const records = await listDisks(machineOs(SERVER));
    const skip = (name: string) => [...skippedDisks(node({ skip_block_devices: [{ volume_name: name }] }), records)];
    expect(skip('0').toSorted()).toEqual(['/dev/md127', '/dev/sdi', '/dev/sdj']);
    expect(skip('old')).toEqual([]);
    const unstarted = records.filter(({ kind }) => kind === 'disk');
    const kept = skippedDisks(node({ skip_block_devices: [{ volume_name: '0' }] }), unstarted);
    expect([...kept].toSorted()).toEqual(['/dev/sdi', '/dev/sdj']);
  });

  test('is refused in another way when the node itself names every disk', async () => {
    const all = node({ skip_block_devices: [{ size: '> 1' }] });
    await expect(findRootDisk(machineOs('qemu-q35'), all)).rejects.toBeInstanceOf(AllDisksSkipped);
    await expect(findRootDisk(machineOs('qemu-q35'), all)).rejects.toThrow(
      'skip_block_devices names it with {"size":"> 1"}',
    );
    const most = node({ skip_block_devices: [{ size: '> 8' }], root_device: { serial: 'x' } });
    await expect(findRootDisk(machineOs('qemu-q35'), most)).rejects.not.toBeInstanceOf(AllDisksSkipped);
    // A machine whose disks have not come yet is waited for.
    await expect(Promise.resolve().then(() => chooseRootDisk(all, []))).rejects.not.toBeInstanceOf(AllDisksSkipped);
  });

  test('is told with the reason why each other disk was not chosen', async () => {
    const disks = await listDisks(machineOs('qemu-q35'));
    const shown = (list: readonly DiskModel[], of?: Parameters<typeof considerRootDisk>[0]) =>
      considerRootDisk(of, list).candidates.map(({ disk, reasons }) => [disk.kname, ...reasons]);
    expect(shown(disks)).toEqual([
      ['vda'],
      ['nvme0n1', 'it is larger than /dev/vda'],
      ['sda', 'it is larger than /dev/vda'],
    ]);
    const change = (kname: string, more: Partial<DiskModel>) =>
      disks.map((disk) => (disk.kname === kname ? { ...disk, ...more } : disk));
    expect(shown(change('vda', { isRemovable: true }))[0]).toEqual(['vda', 'it is removable, and no hint names it']);
    expect(shown(change('vda', { isReadOnly: true }))[0]).toEqual(['vda', 'it is read-only']);
    expect(shown(change('vda', { virtualMedia: 'so it is named' }))[0]).toEqual([
      'vda',
      'it is virtual media: so it is named',
    ]);
    const named = node({ root_device: { serial: 'DISK0' } });
    expect(considerRootDisk(named, change('vda', { isRemovable: true })).chosen?.kname).toBe('vda');
    expect(considerRootDisk(named, change('vda', { virtualMedia: 'x' })).chosen).toBeUndefined();
  });

  test('of two equally small ones is the one that is plugged in first, whatever the kernel calls them', async () => {
    const [first] = await listDisks(machineOs('qemu-q35'));
    if (!first) throw new Error('no disk');
    const twin = (name: string, path: string): DiskModel => ({
      ...first,
      kname: name,
      disk: { ...first.disk, name: `/dev/${name}`, by_path: `/dev/disk/by-path/pci-0000:00:${path}` },
    });
    const order = (...disks: DiskModel[]) => inStableOrder(disks).map(({ kname }) => kname);
    expect(order(twin('sda', '1f.2-ata-10'), twin('sdb', '1f.2-ata-2'), twin('vda', '04.0'))).toEqual([
      'vda',
      'sdb',
      'sda',
    ]);
    const [one, two] = [twin('sdb', '1f.2-ata-2'), twin('sda', '1f.2-ata-10')];
    expect(considerRootDisk(undefined, inStableOrder([two, one])).chosen?.kname).toBe('sdb');
    expect(considerRootDisk(undefined, inStableOrder([two, one])).candidates[1]?.reasons).toEqual([
      'it is as small as /dev/sdb, which is plugged in before it',
    ]);
  });

  test('is no member of an array that stands on it, although it is smaller than what is left', async () => {
    const disks = await listDisks(machineOs(SERVER));
    const without = disks.filter(({ kind }) => kind !== 'array');
    const { candidates } = considerRootDisk(undefined, without);
    expect(candidates.find(({ disk }) => disk.kname === 'sdi')?.reasons).toEqual([
      'it is a member of the array /dev/md127',
    ]);
  });
});
