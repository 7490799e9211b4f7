import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';

import { InventorySchema } from '../../../agent/api/inventory.ts';
import { parseLscpu } from '../../../agent/hardware/cpu.ts';
import { installedMemoryMib } from '../../../agent/hardware/dmi.ts';
import { readSmbios } from '../../../agent/hardware/smbios.ts';
import { macOfBootInterface, pciAddressOf } from '../../../agent/hardware/interfaces.ts';
import { collectInventory } from '../../../agent/hardware/inventory.ts';
import { parseLsblk } from '../../../agent/hardware/lsblk.ts';
import { machineOs } from '../../fakes/machine.ts';

const qemu = machineOs('qemu-q35', {
  totalMemoryBytes: () => 1_015_234_560,
  addresses: () => [
    { interface: 'enp0s2', address: '10.0.2.15', family: 4, mac: '52:54:00:11:22:44', internal: false },
    {
      interface: 'enp0s2',
      address: 'fe80::5054:ff:fe11:2244',
      family: 6,
      mac: '52:54:00:11:22:44',
      internal: false,
      scopeId: 2,
    },
  ],
});

/** One SMBIOS structure: type 17 with a size word, and an extended size, and its texts. */
function memoryDevice(size: number, extendedMib = 0, texts = 'DIMM 0\0'): Buffer {
  const structure = Buffer.alloc(0x22);
  structure.writeUInt8(17, 0);
  structure.writeUInt8(0x22, 1);
  structure.writeUInt16LE(size, 0x0c);
  structure.writeUInt32LE(extendedMib, 0x1c);
  return Buffer.concat([structure, Buffer.from(`${texts}\0`)]);
}
const end = Buffer.from([127, 4, 0, 0, 0, 0]);

describe('the inventory', () => {
  test('of a QEMU q35 machine has exactly the types that its readers decode', async () => {
    const inventory = await collectInventory(qemu, '01-52-54-00-11-22-44');
    expect(Value.Check(InventorySchema, inventory)).toBe(true);
    expect(inventory.interfaces).toEqual([
      {
        name: 'enp0s2',
        mac_address: '52:54:00:11:22:44',
        ipv4_address: '10.0.2.15',
        ipv6_address: 'fe80::5054:ff:fe11:2244%enp0s2',
        has_carrier: true,
        lldp: null,
        vendor: '0x1af4',
        product: '0x0001',
        client_id: null,
        biosdevname: null,
        speed_mbps: null,
        pci_address: '0000:00:02.0',
        driver: 'virtio_net',
      },
    ]);
    expect(inventory.boot).toEqual({ current_boot_mode: 'uefi', pxe_interface: '52:54:00:11:22:44' });
    expect(inventory.memory).toEqual({ total: 1_015_234_560, physical_mb: 968 });
    expect(inventory.cpu).toMatchObject({
      model_name: 'QEMU TCG CPU version 2.5+',
      count: 2,
      frequency: '',
      socket_count: 1,
    });
    expect(inventory.system_vendor.manufacturer).toBe('QEMU');
    expect(inventory.system_vendor.serial_number).toBe('');
  });

  test('lists disks only, with what sysfs and udev know of them', async () => {
    const { disks } = await collectInventory(qemu, undefined);
    expect(disks.map(({ name }) => name)).toEqual(['/dev/vda', '/dev/nvme0n1', '/dev/sda']);
    expect(disks[0]).toEqual({
      name: '/dev/vda',
      model: null,
      size: 8 * 1024 ** 3,
      rotational: true,
      wwn: null,
      serial: 'DISK0',
      vendor: '0x1af4',
      wwn_with_extension: null,
      wwn_vendor_extension: null,
      hctl: null,
      by_path: '/dev/disk/by-path/pci-0000:00:04.0',
      logical_sectors: 512,
      physical_sectors: 512,
      tran: null,
    });
    expect(disks[2]).toMatchObject({
      hctl: '0:0:0:0',
      vendor: 'ATA',
      by_path: '/dev/disk/by-path/pci-0000:00:1f.2-ata-1',
    });
  });

  test('of a machine as it was recorded in our own ramdisk', async () => {
    const inventory = await collectInventory(machineOs('qemu-q35-trixie'), '52:54:00:11:22:44');
    expect(Value.Check(InventorySchema, inventory)).toBe(true);
    expect(inventory.disks.map(({ name, serial, tran, by_path }) => [name, serial, tran, by_path])).toEqual([
      ['/dev/vda', 'DISK0', 'virtio', '/dev/disk/by-path/pci-0000:00:03.0'],
      ['/dev/nvme0n1', 'NVME-1', 'nvme', '/dev/disk/by-path/pci-0000:00:04.0-nvme-1'],
      ['/dev/sda', 'QM00013', 'sata', '/dev/disk/by-path/pci-0000:00:1f.2-ata-1'],
    ]);
    expect(inventory.memory.physical_mb).toBe(1024);
    expect(inventory.cpu).toMatchObject({ count: 2, architecture: 'x86_64', socket_count: 1 });
    expect(inventory.cpu.flags.length).toBeGreaterThan(20);
  });

  test('an array stands once in the list, however many members it has', async () => {
    const { disks } = await collectInventory({ ...machineOs('rack-server-12-disks'), run: machineOsRun() }, undefined);
    expect(disks).toHaveLength(13);
    expect(disks.filter(({ name }) => name === '/dev/md127')).toHaveLength(1);
  });
});

function machineOsRun() {
  const server = machineOs('rack-server-12-disks');
  const cpu = machineOs('qemu-q35');
  return (file: string, args: readonly string[]) => (file === 'lscpu' ? cpu.run(file, args) : server.run(file, args));
}

describe('parsers', () => {
  test('lsblk that lacks a column is refused, and says which', () => {
    expect(() => parseLsblk('{"blockdevices":[{"kname":"sda"}]}')).toThrow(/cannot read what lsblk says/);
    expect(() => parseLsblk('lsblk: not found')).toThrow(/cannot read what lsblk says/);
    expect(parseLsblk('')).toEqual([]);
  });

  test('lscpu may be flat, as before util-linux 2.38, and know no sockets', () => {
    const flat = {
      lscpu: [
        { field: 'Architecture:', data: 'loongarch64' },
        { field: 'CPU(s):', data: '4' },
        { field: 'Socket(s):', data: '-' },
        { field: 'CPU max MHz:', data: '2500.0000' },
      ],
    };
    expect(parseLscpu(JSON.stringify(flat))).toMatchObject({
      architecture: 'loongarch64',
      count: 4,
      socket_count: 0,
      frequency: '2500.0000',
      flags: [],
    });
  });

  test('installed memory is the sum of the modules, in whatever unit each is', () => {
    const table = Buffer.concat([
      memoryDevice(8192),
      memoryDevice(0),
      memoryDevice(0x7f_ff, 65_536),
      memoryDevice(0xff_ff),
      memoryDevice(0x80_00 | 2048),
      end,
    ]);
    expect(installedMemoryMib(readSmbios(table))).toBe(8192 + 65_536 + 2);
  });

  test('a DMI table that is cut or has no texts does not hang', () => {
    expect(
      installedMemoryMib(readSmbios(Buffer.concat([memoryDevice(1024), memoryDevice(1024)]).subarray(0, 50))),
    ).toBe(1024);
    expect(installedMemoryMib(readSmbios(Buffer.from([17, 0, 0, 0, 0, 0])))).toBe(0);
    expect(installedMemoryMib(readSmbios(new Uint8Array()))).toBe(0);
  });

  test.each([
    ['01-aa-bb-cc-dd-ee-0F', 'aa:bb:cc:dd:ee:0f'],
    ['AA:BB:CC:DD:EE:0F', 'aa:bb:cc:dd:ee:0f'],
    ['${mac}', null],
    [undefined, null],
  ])('BOOTIF %s is %s', (text, mac) => {
    expect(macOfBootInterface(text)).toBe(mac);
  });

  test.each([
    ['/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.1', '0000:01:00.1'],
    ['/sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0', '0000:00:14.0'],
    ['/sys/devices/platform/soc/eth', null],
  ])('the PCI address of %s is %s', (path, address) => {
    expect(pciAddressOf(path)).toBe(address);
  });
});
