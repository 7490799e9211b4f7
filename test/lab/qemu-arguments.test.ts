import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { findQemuMachine } from '../../arch/qemu.ts';
import { ARCHITECTURE_NAMES } from '../../arch/table.ts';
import { BOOT_TARGETS, bootIndexes, type BootTarget } from './boot-order.ts';
import { findPlatform } from './platform.ts';
import { type MachineHardware, qemuArguments } from './qemu-arguments.ts';

const hardware: MachineHardware = {
  name: 'm1',
  uuid: '00000000-0000-4000-8000-000000000001',
  mac: '52:54:00:00:00:01',
  memoryMiB: 1024,
  cpus: 2,
  disks: [
    { path: '/lab/a,b.raw', kind: 'virtio', serial: 'V1' },
    { path: '/lab/n.raw', kind: 'nvme', serial: 'N1' },
  ],
  forwards: [{ host: 40_022, guest: 22 }],
  netboot: { folder: '/lab/tftp', bootfile: 'snponly.efi' },
};
const files = {
  firmwareCode: '/code.fd',
  variables: '/vars.fd',
  serial: '/serial.log',
  console: '/console',
  monitor: '/qmp',
};
const machines = ARCHITECTURE_NAMES.flatMap((name) => findQemuMachine(name) ?? []);

describe.each(machines)("QEMU's command line for $arch", (machine) => {
  const line = (boot: BootTarget, acceleration: 'tcg' | 'kvm' = 'tcg') =>
    qemuArguments(machine, acceleration, hardware, files, boot).join(' ');

  test('leaves the order to the firmware with None, and always where it starts no driver otherwise', () => {
    for (const boot of machine.ownBootOrder ? BOOT_TARGETS : (['None'] as const))
      expect(line(boot)).not.toContain('bootindex');
  });

  test('names one acceleration and no silent fallback', () => {
    expect(line('None')).toContain('-accel tcg,thread=multi');
    expect(line('None', 'kvm')).toContain('-accel kvm ');
    expect(line('None', 'kvm')).not.toContain('tcg');
  });

  test('has the firmware in two parts, of which only the variables can be written', () => {
    expect(line('None')).toContain('unit=0,format=raw,readonly=on,file=/code.fd');
    expect(line('None')).toContain('unit=1,format=raw,file=/vars.fd');
  });

  test('what the console shows is kept in a file, and one can type into a socket', () => {
    expect(line('None')).toContain('socket,id=serial0,path=/console,server=on,wait=off,logfile=/serial.log');
  });

  test('a disk is writable and as fast as it can be, unless said', () => {
    expect(line('None')).not.toMatch(/drive0,[^ ]*(?:readonly|throttling)/);
    const [disk] = hardware.disks;
    if (disk === undefined) throw new Error('there is one');
    const disks = [{ ...disk, readOnly: true, writeBytesPerSecond: 1024 }];
    const words = qemuArguments(machine, 'tcg', { ...hardware, disks }, files, 'None').join(' ');
    expect(words).toMatch(/id=drive0,[^ ]*,readonly=on,throttling\.bps-write=1024 /);
  });

  test('a comma in a path does not end the option', () => {
    expect(line('None')).toContain('file=/lab/a,,b.raw,');
  });

  test('each disk has its serial number, and ports lead in from loopback only', () => {
    expect(line('None')).toMatch(/virtio-blk-pci,[^ ]*serial=V1/);
    expect(line('None')).toMatch(/nvme,[^ ]*serial=N1/);
    expect(line('None')).toContain('hostfwd=tcp:127.0.0.1:40022-:22');
  });
});

test.each(machines.filter(({ ownBootOrder }) => !ownBootOrder))(
  'on $arch, Pxe tries the card first and the disks after it, Hdd the disks only',
  (machine) => {
    const line = (boot: BootTarget) => qemuArguments(machine, 'tcg', hardware, files, boot).join(' ');
    expect(line('Pxe')).toMatch(/nic0.*bootindex=0 .*disk0,.*bootindex=1 .*disk1,.*bootindex=2/);
    expect(line('Hdd')).not.toMatch(/nic0[^ ]*bootindex/);
    expect(line('Hdd')).toMatch(/disk0[^ ]*bootindex=0.*disk1[^ ]*bootindex=1/);
  },
);

test('no two devices ever have the same boot index', () => {
  const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom(...BOOT_TARGETS), names, fc.nat(8), (target, devices, cut) => {
      const indexes = bootIndexes(target, devices.slice(0, cut), devices.slice(cut));
      const used = indexes.map(({ index }) => index).filter((index) => index >= 0);
      expect(new Set(used).size).toBe(used.length);
      expect(indexes.map(({ device }) => device)).toEqual(devices);
    }),
  );
});

test('an architecture without a user image is refused by name', () => {
  expect(() => findPlatform('m68k')).toThrow(/cannot make a user image for m68k/);
});
