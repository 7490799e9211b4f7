import { bootIndexes, type BootTarget } from './boot-order.ts';
import type { Platform } from './platform.ts';

export type LabDisk = {
  /** A raw file; sparse. */
  path: string;
  kind: 'virtio' | 'nvme';
  /** What the guest reads as the disk's serial number; virtio keeps 20 characters. */
  serial: string;
};

/** A TCP port of this host's loopback that leads to a port of the guest. */
export type Forward = { host: number; guest: number };

export type Acceleration = 'tcg' | 'kvm';

export type MachineHardware = {
  name: string;
  /** SMBIOS system UUID. */
  uuid: string;
  mac: string;
  memoryMiB: number;
  cpus: number;
  disks: readonly LabDisk[];
  forwards: readonly Forward[];
  /** Folder that the machine's TFTP server (QEMU's own, in its user-mode network) serves, and the file that DHCP names. */
  netboot?: { folder: string; bootfile: string } | undefined;
};

export type MachineFiles = { firmwareCode: string; variables: string; serial: string; monitor: string };

/** Names of the devices on QEMU's bus, for boot order. */
export function deviceNames(hardware: MachineHardware): { nics: string[]; disks: string[] } {
  return { nics: ['nic0'], disks: hardware.disks.map((_, index) => `disk${index}`) };
}

/** A comma ends an option in QEMU's words, and two commas are one. */
function word(text: string): string {
  return text.replaceAll(',', ',,');
}

function networkArguments(hardware: MachineHardware, bootIndex: string): string[] {
  const { netboot } = hardware;
  const netdev = [
    'user,id=net0,ipv6=off',
    ...(netboot ? [`tftp=${word(netboot.folder)}`, `bootfile=${word(netboot.bootfile)}`] : []),
    ...hardware.forwards.map((forward) => `hostfwd=tcp:127.0.0.1:${forward.host}-:${forward.guest}`),
  ].join(',');
  // Without its option ROM (an iPXE of its own) the card is driven by the firmware, as a card of a real server is.
  return ['-netdev', netdev, '-device', `virtio-net-pci,id=nic0,netdev=net0,mac=${hardware.mac},romfile=${bootIndex}`];
}

function diskArguments(disk: LabDisk, index: number, bootIndex: string): string[] {
  const driver = { virtio: 'virtio-blk-pci', nvme: 'nvme' }[disk.kind];
  return [
    '-drive',
    // unsafe: the guest's flushes need not reach this host's disk; a lab disk does not outlive the host's crash.
    `if=none,id=drive${index},file=${word(disk.path)},format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap`,
    '-device',
    `${driver},id=disk${index},drive=drive${index},serial=${word(disk.serial)}${bootIndex}`,
  ];
}

/** QEMU's command line for a server with UEFI, a serial console and no screen. Pure, so that a test can read it. */
export function qemuArguments(
  platform: Platform,
  acceleration: Acceleration,
  hardware: MachineHardware,
  files: MachineFiles,
  boot: BootTarget,
): string[] {
  const names = deviceNames(hardware);
  const indexes = new Map(bootIndexes(boot, names.nics, names.disks).map(({ device, index }) => [device, index]));
  const bootIndex = (device: string) => {
    const index = indexes.get(device) ?? -1;
    return index < 0 ? '' : `,bootindex=${index}`;
  };
  return [
    ['-name', `${word(hardware.name)},debug-threads=on`, '-uuid', hardware.uuid],
    ['-nodefaults', '-no-user-config', '-display', 'none'],
    ['-machine', platform.machine, '-cpu', platform.cpu[acceleration], '-smp', String(hardware.cpus)],
    ['-accel', { tcg: 'tcg,thread=multi', kvm: 'kvm' }[acceleration], '-m', String(hardware.memoryMiB)],
    ['-smbios', `type=1,manufacturer=Ingot,product=lab,serial=${word(hardware.name)}`],
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${word(files.firmwareCode)}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${word(files.variables)}`],
    ['-boot', 'menu=off,splash-time=0', '-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
    ['-chardev', `file,id=serial0,path=${word(files.serial)},append=on`, '-serial', 'chardev:serial0'],
    ['-qmp', `unix:${word(files.monitor)},server=on,wait=off`, '-monitor', 'none', '-parallel', 'none'],
    networkArguments(hardware, bootIndex('nic0')),
    ...hardware.disks.map((disk, index) => diskArguments(disk, index, bootIndex(`disk${index}`))),
  ].flat();
}
