import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';

import { DiskSchema } from '../../../agent/api/inventory.ts';
import { metadataTargets } from '../../../agent/disk/erase-metadata.ts';
import { type ExaminedDisk, examineDisks } from '../../../agent/disk/examine.ts';
import { guardDisk, type GuardOptions } from '../../../agent/disk/guard.ts';
import type { DiskModel, Storage } from '../../../agent/hardware/disk-model.ts';
import { readStorage } from '../../../agent/hardware/disks.ts';
import { considerRootDisk } from '../../../agent/hardware/root-disk.ts';
import { skippedDisks } from '../../../agent/hardware/skip-list.ts';
import { sparseFile } from '../../fakes/disk-file.ts';
import { machineOs } from '../../fakes/machine.ts';

const GUARD: GuardOptions = { skipped: new Set(), guardShared: true, guardContents: [], guardRemovable: true };

function find<T extends DiskModel>(disks: readonly T[], kname: string): T {
  const disk = disks.find((one) => one.kname === kname);
  if (!disk) throw new Error(`there is no ${kname}, only ${disks.map((one) => one.kname).join(' ')}`);
  return disk;
}
const others = ({ others: list }: Storage) => Object.fromEntries(list.map(({ name, kind }) => [name, kind]));
const chosen = (storage: Storage, hints?: object) =>
  considerRootDisk({ uuid: '', properties: { root_device: hints } }, storage.disks).chosen?.kname;

/** Looks into the disks of a machine, every one of which is blank. */
async function examined(machine: string): Promise<ExaminedDisk[]> {
  const blank = await sparseFile(1024 ** 2);
  const os = machineOs(machine, { openDevice: async () => ({ ...blank.device, close: async () => undefined }) });
  const disks = await examineDisks(os, await readStorage(os));
  await blank.close();
  return disks;
}
const reasons = (disk: ExaminedDisk, options: Partial<GuardOptions> = {}) =>
  guardDisk(disk, { ...GUARD, ...options }).map(({ code, device }) => `${code} ${device}`);

const MADE_UP = ['san-server', 'idrac-server', 'storage-node', 'rack-server-12-disks'];
const RECORDED = [
  'qemu-udev-at-work',
  'qemu-multipath',
  'qemu-q35-trixie',
  'qemu-q35-numa',
  'qemu-virt-aarch64',
  'qemu-virt-loongarch64',
];

describe.each([...MADE_UP, ...RECORDED])('the disks of %s', (machine) => {
  test('have the types of the contract, each device is of one disk, and no path is a disk', async () => {
    const storage = await readStorage(machineOs(machine));
    const names = storage.disks.map(({ kname }) => kname);
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
    for (const { disk, paths, kname, family } of storage.disks) {
      expect(Value.Check(DiskSchema, disk)).toBe(true);
      expect(family[0]?.kname).toBe(kname);
      const asPath = paths.filter((path) => path !== kname && names.includes(path));
      expect(asPath).toEqual([]);
    }
    const { targets } = metadataTargets(storage.blocks, new Set());
    const paths = storage.others.filter(({ kind }) => kind === 'path').map(({ name }) => name);
    expect(targets.filter(({ kname }) => paths.includes(`/dev/${kname}`))).toEqual([]);
  });

  test('cost one program, however many they are', async () => {
    const os = machineOs(machine);
    await readStorage(os);
    expect(os.calls.map((call) => call.split(' ')[0])).toEqual(['lsblk']);
  });
});

describe('a machine of QEMU with disks of every kind, recorded while udev was at work', () => {
  test('has one disk where two controllers lead to it, and keeps what it should', async () => {
    const storage = await readStorage(machineOs('qemu-udev-at-work'));
    const several = storage.disks.filter(({ paths }) => paths.length > 1).map(({ paths }) => paths);
    expect(several).toEqual([
      ['sda', 'sdd'],
      ['sdc', 'sdh'],
    ]);
    expect(others(storage)).toEqual({ '/dev/sdd': 'double', '/dev/sdh': 'double', '/dev/sr0': 'optical' });
    const shown = Object.fromEntries((await examined('qemu-udev-at-work')).map((disk) => [disk.kname, reasons(disk)]));
    expect(Object.entries(shown).filter(([, found]) => found.length > 0)).toEqual([
      ['sdf', ['read-only /dev/sdf']],
      // On it is an OCFS2 signature that udev had read, too.
      ['sde', ['shared-filesystem /dev/sde']],
      ['sdj', ['removable /dev/sdj']],
      ['sdk', ['virtual-media /dev/sdk', 'removable /dev/sdk']],
      ['vda', ['held /dev/vda1']],
    ]);
  });

  test('has what QEMU said of each', async () => {
    const disks = await examined('qemu-udev-at-work');
    expect(find(disks, 'sde').disk).toMatchObject({ logical_sectors: 4096, physical_sectors: 4096 });
    expect(find(disks, 'sdb').disk).toMatchObject({
      vendor: 'SEAGATE',
      rotational: true,
      wwn_with_extension: '0x5000c500c1a2b300',
      by_path: '/dev/disk/by-path/pci-0000:00:03.0-scsi-0:0:2:0',
    });
    expect(find(disks, 'nvme0n2').nvme).toMatchObject({
      namespaceId: 2,
      controllers: ['/dev/nvme0', '/dev/nvme2'],
      neighbours: ['/dev/nvme0n1'],
    });
    expect(find(disks, 'nvme1n1').nvme).toMatchObject({ controllers: ['/dev/nvme1'], neighbours: [] });
    expect(find(disks, 'vda').limits.discardMaxBytes).toBeGreaterThan(0);
  });

  test('is looked at again once udev has seen every disk', async () => {
    const os = machineOs('qemu-udev-at-work');
    const files = {
      ...os.files,
      exists: async (path: string) => path === '/run/udev/control' || os.files.exists(path),
    };
    await readStorage({ ...os, files });
    expect(os.calls.map((call) => call.split(' ')[0])).toEqual(['lsblk', 'udevadm', 'lsblk']);
    // And while udev says that it is not done, before the first look.
    os.calls.length = 0;
    await readStorage({ ...os, files: { ...os.files, exists: async (path) => path === '/run/udev/queue' } });
    expect(os.calls.map((call) => call.split(' ')[0])).toEqual(['udevadm', 'lsblk']);
  });
});

describe('a machine of QEMU with dm-multipath, md and LVM', () => {
  test('has the multipath device with what its paths say, and the array with its name', async () => {
    const storage = await readStorage(machineOs('qemu-multipath'));
    expect(others(storage)).toEqual({
      '/dev/sdb': 'path',
      '/dev/sdd': 'path',
      '/dev/sdg': 'double',
      '/dev/sr0': 'optical',
    });
    expect(find(storage.disks, 'dm-0')).toMatchObject({
      kind: 'multipath',
      paths: ['sdb', 'sdd'],
      serials: ['3500000000000ab01', 'MPATH-1'],
      wwns: ['0x500000000000ab01'],
      disk: { model: 'QEMU HARDDISK', vendor: 'QEMU', wwn_with_extension: '0x500000000000ab01' },
    });
    expect(find(storage.disks, 'md127')).toMatchObject({ kind: 'array', volumeName: 'data' });
    expect(chosen(storage, { serial: 'MPATH-1' })).toBe('dm-0');
    expect(chosen(storage, { hctl: '1:0:1:0' })).toBe('dm-0');
    const node = { uuid: '', properties: { skip_block_devices: [{ volume_name: 'data' }] } };
    expect([...skippedDisks(node, storage.disks)].toSorted()).toEqual(['/dev/md127', '/dev/sdh', '/dev/sdi']);
  });

  test('guards members and volumes, not the paths', async () => {
    const disks = await examined('qemu-multipath');
    expect(reasons(find(disks, 'dm-0'))).toEqual([]);
    expect(reasons(find(disks, 'md127'))).toEqual([]);
    expect(reasons(find(disks, 'sdh'))).toEqual(['held /dev/sdh']);
    expect(reasons(find(disks, 'sdi'))).toEqual(['held /dev/sdi']);
    expect(reasons(find(disks, 'vda'))).toEqual(['held /dev/vda1']);
  });
});

describe('a server on a storage network', () => {
  test('has the multipath device as its disk, with all paths, their names and what is on it', async () => {
    const storage = await readStorage(machineOs('san-server'));
    expect(storage.disks.map(({ kname }) => kname).toSorted()).toEqual(['dm-0', 'sde', 'sdg', 'sdh']);
    const disk = find(storage.disks, 'dm-0');
    expect(disk).toMatchObject({ kind: 'multipath', paths: ['sda', 'sdb', 'sdc', 'sdd'] });
    expect(disk.family.map(({ kname }) => kname)).toEqual(['dm-0', 'dm-1', 'dm-2', 'sda', 'sdb', 'sdc', 'sdd']);
    expect(disk.disk).toMatchObject({
      wwn: '0x600508b4000b0ef10001c000001a0000',
      serial: expect.any(String) as string,
    });
    expect(others(storage)).toMatchObject({ '/dev/sda': 'path', '/dev/sdd': 'path', '/dev/sdf': 'double' });
  });

  test('without a multipath daemon has one disk where two paths lead to one, two where only the array is the same', async () => {
    const { disks } = await readStorage(machineOs('san-server'));
    expect(find(disks, 'sde').paths).toEqual(['sde', 'sdf']);
    const { blocks } = await readStorage(machineOs('san-server'));
    const without = blocks.filter(({ kname }) => !kname.startsWith('dm-'));
    const os = machineOs('san-server', {});
    const run: typeof os.run = async () => ({
      stdout: JSON.stringify({ blockdevices: without }),
      stderr: '',
      exitCode: 0,
    });
    const plain = await readStorage({ ...os, run });
    expect(plain.disks.map(({ kname, paths }) => [kname, ...paths])).toEqual([
      ['sdg', 'sdg'],
      ['sdh', 'sdh'],
      ['sda', 'sda', 'sdb', 'sdc', 'sdd'],
      ['sde', 'sde', 'sdf'],
    ]);
  });

  test('is found by hints for the disk and for any of its paths', async () => {
    const storage = await readStorage(machineOs('san-server'));
    expect(chosen(storage, { wwn: '0x600508b4000b0ef10001c000001a0000' })).toBe('dm-0');
    expect(chosen(storage, { hctl: '2:0:1:1' })).toBe('dm-0');
    expect(chosen(storage, { name: '/dev/sdf' })).toBe('sde');
    expect(chosen(storage, { by_path: '<in> pci-0000:07:00.0-fc', size: 200 })).toBe('dm-0');
  });

  test('has paths that hold nothing and volumes that do', async () => {
    const disks = await examined('san-server');
    expect(reasons(find(disks, 'dm-0'))).toEqual([]);
    expect(reasons(find(disks, 'dm-0'), { guardContents: ['lvm'] })).toEqual(['contents /dev/dm-2']);
    expect(find(disks, 'sdg').ataSecurity).toEqual({ isEnabled: false, isLocked: false, isFrozen: true });
  });
});

describe('a server whose BMC plays drives', () => {
  test('has them kept and never chosen, while its own card is only removable', async () => {
    const disks = await examined('idrac-server');
    const shown = Object.fromEntries(disks.map((disk) => [disk.kname, reasons(disk)]));
    expect(shown).toEqual({
      sda: [],
      sdb: ['virtual-media /dev/sdb', 'removable /dev/sdb'],
      sdc: ['virtual-media /dev/sdc', 'removable /dev/sdc'],
      sdd: ['removable /dev/sdd'],
      sde: ['virtual-media /dev/sde', 'removable /dev/sde'],
      nvme0n1: [],
      nvme0n2: [],
    });
    const storage = await readStorage(machineOs('idrac-server'));
    expect(chosen(storage)).toBe('nvme0n2');
    expect(chosen(storage, { model: 'IDSDM' })).toBe('sdd');
    expect(chosen(storage, { model: 'LCDRIVE' })).toBeUndefined();
    expect(others(storage)).toEqual({ '/dev/sr0': 'optical' });
  });

  test('has namespaces that know their controllers and each other', async () => {
    const disks = await examined('idrac-server');
    expect(find(disks, 'nvme0n2').nvme).toMatchObject({
      namespaceId: 2,
      controllers: ['/dev/nvme0', '/dev/nvme1'],
      neighbours: ['/dev/nvme0n1'],
      firmware: '2.2.0',
    });
    expect(find(disks, 'sda').nvme).toBeUndefined();
  });
});

describe('a storage node', () => {
  test('has no disk that bcache made of others, and guards what is held', async () => {
    const storage = await readStorage(machineOs('storage-node'));
    expect(others(storage)).toEqual({ '/dev/bcache0': 'derived' });
    const disks = await examined('storage-node');
    expect(Object.fromEntries(disks.map((disk) => [disk.kname, reasons(disk)]))).toEqual({
      sda: ['held /dev/sda'],
      sdb: ['held /dev/sdb'],
      sdc: ['held /dev/sdc'],
      sdd: [],
      sde: ['held /dev/sde'],
      sdf: [],
    });
    const asked = { guardContents: ['zfs', 'oracleasm', 'ceph', 'luks', 'bcache'] } as const;
    expect(reasons(find(disks, 'sdd'), asked)).toEqual(['contents /dev/sdd']);
    expect(reasons(find(disks, 'sdf'), asked)).toEqual(['contents /dev/sdf']);
    expect(reasons(find(disks, 'sdc'), asked)).toContain('contents /dev/dm-0');
    expect(reasons(find(disks, 'sda'), asked)).toContain('contents /dev/sda');
  });

  test('says what its disks can', async () => {
    const disks = await examined('storage-node');
    expect(find(disks, 'sdf').limits).toMatchObject({
      zoned: 'host-managed',
      discardMaxBytes: 0,
      writeZeroesMaxBytes: 0,
      hasFua: null,
    });
  });
});
