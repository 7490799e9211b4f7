import { describe, expect, test } from 'vitest';

import { listDisks } from '../../../agent/hardware/disks.ts';
import { findRootDisk } from '../../../agent/hardware/inventory.ts';
import { skippedDisks } from '../../../agent/hardware/root-disk.ts';
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
    expect(() => skippedDisks(node({ skip_block_devices: [{ volume_name: 'data' }] }), records)).toThrow(
      'software RAID',
    );
    expect(() => skippedDisks(node({ skip_block_devices: 'sda' }), records)).toThrow('no list');
    expect(skippedDisks(node({ skip_block_devices: [{ rotational: true }] }), records).size).toBe(6);
  });
});
