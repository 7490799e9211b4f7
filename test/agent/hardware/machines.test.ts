import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';

import { DetailsSchema, InventorySchema } from '../../../agent/api/inventory.ts';
import { collectDetails } from '../../../agent/hardware/details.ts';
import { collectInventory } from '../../../agent/hardware/inventory.ts';
import { readNumaTopology } from '../../../agent/hardware/numa.ts';
import { collectPciDevices } from '../../../agent/hardware/pci.ts';
import { listUsb } from '../../../agent/hardware/usb.ts';
import { describeInventory } from '../../../agent/inventory-command.ts';
import { machineOs } from '../../fakes/machine.ts';

const inventoryOf = (machine: string) => collectInventory(machineOs(machine), undefined);
const detailsOf = (machine: string) => collectDetails(machineOs(machine));

const MACHINES = [
  { machine: 'qemu-q35-numa', arch: 'x86_64', count: 4, sockets: 2, frequency: '2596.131', mib: 2048 },
  { machine: 'qemu-virt-aarch64', arch: 'aarch64', count: 2, sockets: 1, frequency: '2000', mib: 1536 },
  { machine: 'qemu-virt-loongarch64', arch: 'loongarch64', count: 2, sockets: 1, frequency: '2000.00', mib: 2048 },
  { machine: 'rack-server-gpus', arch: 'x86_64', count: 32, sockets: 2, frequency: '4500.0000', mib: 1024 ** 2 },
  { machine: 'arm-server', arch: 'aarch64', count: 16, sockets: 1, frequency: '3000', mib: 256 * 1024 },
  { machine: 'loongson-3c5000', arch: 'loongarch64', count: 32, sockets: 2, frequency: '2200.00', mib: 64 * 1024 },
];

describe.each(MACHINES)('of $machine', ({ machine, arch, count, sockets, frequency, mib }) => {
  test('the inventory has the types of the contract, and says what the processors are', async () => {
    const inventory = await inventoryOf(machine);
    expect(Value.Check(InventorySchema, inventory)).toBe(true);
    expect(inventory.cpu).toMatchObject({ architecture: arch, count, socket_count: sockets });
    expect(inventory.cpu.model_name).toMatch(/\w{4}/);
    expect(inventory.cpu.flags.length).toBeGreaterThan(5);
    expect(inventory.memory.physical_mb).toBe(mib);
    expect(inventory.cpu.frequency).toBe(frequency);
  });

  test('the details have the types of the contract, and modules that add up to the memory', async () => {
    const details = await detailsOf(machine);
    expect(Value.Check(DetailsSchema, details)).toBe(true);
    expect(details.dimms.reduce((sum, { size_mb: size }) => sum + size, 0)).toBe(mib);
  });

  test('people are shown all of it on few lines', async () => {
    const text = describeInventory(await inventoryOf(machine), await detailsOf(machine));
    expect(text).toContain(`sockets: ${sockets} (${arch})`);
    expect(text).not.toMatch(/undefined|null|NaN/);
    expect(text.split('\n').length).toBeLessThan(45);
  });
});

describe('a server with two sockets and graphics cards', () => {
  test('has each slot of its memory in the details, the flash of its firmware in none', async () => {
    const { dimms } = await detailsOf('rack-server-gpus');
    expect(dimms).toHaveLength(32);
    expect(dimms[0]).toEqual({
      slot: 'P1_DIMMA1',
      bank: 'P1 CHANNEL A',
      size_mb: 65_536,
      type: 'DDR5',
      form_factor: 'DIMM',
      speed_mts: 5600,
      configured_mts: 4800,
      manufacturer: 'Samsung',
      serial: '80CE042510',
      part_number: 'M321R8GA0PB0-CWMOD',
    });
    expect(dimms[1]).toMatchObject({ slot: 'P1_DIMMA2', size_mb: 0, type: null, manufacturer: null, serial: null });
  });

  test('has its cards with the names of their slots, without the slot of the BMC’s own', async () => {
    const { accelerators } = await detailsOf('rack-server-gpus');
    expect(accelerators.map((card) => [card.kind, card.vendor, card.slot, card.numa_node])).toEqual([
      ['VGA display', 'ASPEED', null, 0],
      ['3D controller', 'NVIDIA', 'CPU1 SLOT2 PCI-E 5.0 X16', 0],
      ['3D controller', 'NVIDIA', 'CPU1 SLOT4 PCI-E 5.0 X16', 0],
      ['co-processor', 'Intel', null, 0],
      ['3D controller', 'NVIDIA', 'CPU2 SLOT6 PCI-E 5.0 X16', 1],
      ['3D controller', 'NVIDIA', 'CPU2 SLOT8 PCI-E 5.0 X16', 1],
    ]);
  });

  test('names its TPM, its firmware, its microcode and that it boots what is signed only', async () => {
    const { boot, tpm, firmware, microcode } = await detailsOf('rack-server-gpus');
    expect(boot).toEqual({ secure_boot: true, setup_mode: false });
    expect(tpm).toEqual({ device: 'tpm0', version: '2.0', manufacturer: 'IFX', firmware: '15.23' });
    expect(firmware.map(({ component, version }) => [component, version])).toEqual([
      ['BIOS', '2.1a'],
      ['BMC', '01.03.17'],
      ['CPLD', 'F1.0C'],
      ['ens3f0np0', '28.41.1000'],
      ['ens3f1np1', '28.41.1000'],
      ['/dev/nvme0n1', 'GDC5902Q'],
      ['/dev/nvme1n1', 'GDC5702Q'],
    ]);
    expect(microcode).toBe('0x2b000643');
  });

  test('has its threads by core, and what is near to each node', async () => {
    const topology = await readNumaTopology(machineOs('rack-server-gpus'));
    expect(topology?.ram).toEqual([
      { numa_node: 0, size_kb: 527_900_000 },
      { numa_node: 1, size_kb: 528_400_000 },
    ]);
    expect(topology?.cpus).toHaveLength(16);
    expect(topology?.cpus[9]).toEqual({ cpu: 1, numa_node: 1, thread_siblings: [9, 25] });
    expect(topology?.nics).toEqual([
      { name: 'ens3f0np0', numa_node: 0 },
      { name: 'ens3f1np1', numa_node: 0 },
    ]);
  });
});

test('names of cards come from a list of PCI ids where the ramdisk has one', async () => {
  const os = machineOs('rack-server-gpus');
  const ids = '# ids\n10de  NVIDIA Corporation\n\t2330  GH100 [H100 SXM5 80GB]\n\t\t10de 16c1  board\n1a03  ASPEED\n';
  const read = async (path: string) => (path === '/usr/share/misc/pci.ids' ? ids : os.files.read(path));
  const { accelerators } = await collectDetails({ ...os, files: { ...os.files, read } });
  expect(accelerators[1]).toMatchObject({ vendor: 'NVIDIA Corporation', product: 'GH100 [H100 SXM5 80GB]' });
  expect(accelerators[0]).toMatchObject({ vendor: 'ASPEED', product: null });
});

test('a machine in QEMU with two NUMA nodes is shown as Ironic’s hooks read it', async () => {
  const os = machineOs('qemu-q35-numa');
  const { pci_devices: devices } = (await collectPciDevices(os)) as { pci_devices: Record<string, unknown>[] };
  expect(devices).toContainEqual({
    vendor_id: '8086',
    product_id: '10d3',
    class: '020000',
    revision: '00',
    bus: '0000:81:00.0',
    numa_node_id: '1',
  });
  expect((await readNumaTopology(os))?.nics).toContainEqual({ name: 'ens1', numa_node: 1 });
  expect(await listUsb(os)).toEqual([
    { product: 'QEMU USB Tablet', vendor: 'QEMU', handle: 'USB:1:2' },
    { product: 'QEMU USB HARDDRIVE', vendor: 'QEMU', handle: 'USB:2:2' },
  ]);
});

test('a board without DMI is named by its device tree', async () => {
  const os = machineOs('arm-server');
  const tree: Record<string, string> = {
    '/proc/device-tree/model': 'Loongson-2K1000 board\0',
    '/proc/device-tree/compatible': 'loongson,ls2k1000-ref\0loongson,ls2k1000\0',
    '/proc/device-tree/serial-number': '0042\0',
  };
  const files = {
    ...os.files,
    read: async (path: string) => tree[path] ?? (path.includes('/dmi/') ? undefined : os.files.read(path)),
    readBytes: async () => undefined,
  };
  const inventory = await collectInventory({ ...os, files }, undefined);
  expect(inventory.system_vendor).toMatchObject({
    product_name: 'Loongson-2K1000 board',
    serial_number: '0042',
    manufacturer: 'loongson',
  });
  expect(inventory.cpu).toMatchObject({ socket_count: 1, frequency: '' });
  expect(inventory.memory.physical_mb).toBe(Math.floor(inventory.memory.total / 2 ** 20));
});
