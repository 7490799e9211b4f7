import type { QemuMachine } from '../../arch/qemu.ts';
import {
  type Acceleration,
  boardArguments,
  diskArguments,
  firmwareArguments,
  type Forward,
  type MachineDisk,
  networkArguments,
  word,
} from '../../machine/arguments.ts';
import { bootIndexes, type BootTarget } from './boot-order.ts';

export type MachineHardware = {
  name: string;
  /** SMBIOS system UUID. */
  uuid: string;
  mac: string;
  memoryMiB: number;
  cpus: number;
  disks: readonly MachineDisk[];
  forwards: readonly Forward[];
  /** Folder that the machine's TFTP server (QEMU's own, in its user-mode network) serves, and the file that DHCP names. */
  netboot?: { folder: string; bootfile: string } | undefined;
};

/** `console`: a Unix socket through which one can type; what the machine writes goes to the file `serial`, too. */
export type MachineFiles = {
  firmwareCode: string;
  variables: string;
  serial: string;
  console: string;
  monitor: string;
};

/** Names of the devices on QEMU's bus, for boot order. */
export function deviceNames(hardware: MachineHardware): { nics: string[]; disks: string[] } {
  return { nics: ['nic0'], disks: hardware.disks.map((_, index) => `disk${index}`) };
}

/** The boot target as far as a machine's firmware can be told one; blank disks first and then the network is what it does itself. */
export function possibleBoot(machine: QemuMachine, boot: BootTarget): BootTarget {
  return machine.ownBootOrder ? 'None' : boot;
}

/** QEMU's command line for a server with UEFI, a serial console and no screen. Pure, so that a test can read it. */
export function qemuArguments(
  machine: QemuMachine,
  acceleration: Acceleration,
  hardware: MachineHardware,
  files: MachineFiles,
  boot: BootTarget,
): string[] {
  const names = deviceNames(hardware);
  const order = possibleBoot(machine, boot);
  const indexes = new Map(bootIndexes(order, names.nics, names.disks).map(({ device, index }) => [device, index]));
  const bootIndex = (device: string) => {
    const index = indexes.get(device) ?? -1;
    return index < 0 ? undefined : index;
  };
  return [
    ['-name', `${word(hardware.name)},debug-threads=on`, '-uuid', hardware.uuid],
    boardArguments(machine, acceleration, hardware),
    ['-smbios', `type=1,manufacturer=Ingot,product=lab,serial=${word(hardware.name)}`],
    firmwareArguments({ code: files.firmwareCode, variables: files.variables }),
    ['-boot', 'menu=off,splash-time=0', '-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
    ['-device', 'virtio-rng-pci'],
    [
      '-chardev',
      `socket,id=serial0,path=${word(files.console)},server=on,wait=off,logfile=${word(files.serial)},logappend=on`,
      '-serial',
      'chardev:serial0',
    ],
    ['-qmp', `unix:${word(files.monitor)},server=on,wait=off`, '-monitor', 'none', '-parallel', 'none'],
    networkArguments({ ...hardware, bootIndex: bootIndex('nic0') }),
    ...hardware.disks.map((disk, index) => diskArguments(disk, index, bootIndex(`disk${index}`))),
  ].flat();
}
