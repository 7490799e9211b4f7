import type { QemuMachine } from '../arch/qemu.ts';
import type { Tools } from './tools.ts';

export type MachineDisk = {
  /** A file; sparse where it is raw. */
  path: string;
  /** raw unless said. */
  format?: 'raw' | 'qcow2';
  /** `sata` on the board's own controller (q35), `scsi` on a virtio-scsi one of its own. */
  kind: 'virtio' | 'nvme' | 'sata' | 'scsi';
  /** Logical sector, bytes; 512 unless said. Not of a SATA disk, which QEMU gives none but 512. */
  sectorBytes?: 512 | 4096;
  /** What the guest reads as the disk's serial number; virtio keeps 20 characters. */
  serial: string;
  /** The guest cannot write to it. Not of a SATA disk, which QEMU plays writable only. */
  readOnly?: boolean;
  /** No faster than that, for what has to be interrupted in the middle. */
  writeBytesPerSecond?: number | undefined;
};

/** A TCP port of this host's loopback that leads to a port of the guest. */
export type Forward = { host: number; guest: number };

export type Acceleration = 'tcg' | 'kvm';

/** A comma ends an option in QEMU's words, and two commas are one. */
export function word(text: string): string {
  return text.replaceAll(',', ',,');
}

/** Where QEMU finds its option ROMs and the BIOS. */
export function searchArguments(tools: Pick<Tools, 'path'>): string[] {
  return ['-L', tools.path('/usr/share/qemu'), '-L', tools.path('/usr/share/seabios')];
}

/** The board with its processors and memory, and no device that was not asked for. */
export function boardArguments(
  machine: QemuMachine,
  acceleration: Acceleration,
  size: { cpus: number; memoryMiB: number },
): string[] {
  return [
    ['-nodefaults', '-no-user-config', '-display', 'none'],
    ['-machine', machine.machine, '-cpu', machine.cpu[acceleration], '-smp', String(size.cpus)],
    // Always one of them by name: the combination of both falls back in silence.
    ['-accel', { tcg: 'tcg,thread=multi', kvm: 'kvm' }[acceleration], '-m', String(size.memoryMiB)],
  ].flat();
}

/** @param options.snapshot what is written to the variables is forgotten in the end, and no file is changed */
export function firmwareArguments(
  files: { code: string; variables: string },
  options: { snapshot: boolean } = { snapshot: false },
): string[] {
  const snapshot = options.snapshot ? ',snapshot=on' : '';
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${word(files.code)}`],
    ['-drive', `if=pflash,unit=1,format=raw${snapshot},file=${word(files.variables)}`],
  ].flat();
}

/** A card in QEMU's user-mode network, whose ports lead in from loopback only. */
export function networkArguments(card: {
  mac?: string | undefined;
  forwards: readonly Forward[];
  /** Folder that the network's own TFTP server serves, and the file that its DHCP server names. */
  netboot?: { folder: string; bootfile: string } | undefined;
  bootIndex?: number | undefined;
}): string[] {
  const { mac, netboot, bootIndex } = card;
  const netdev = [
    'user,id=net0,ipv6=off',
    ...(netboot ? [`tftp=${word(netboot.folder)}`, `bootfile=${word(netboot.bootfile)}`] : []),
    ...card.forwards.map((forward) => `hostfwd=tcp:127.0.0.1:${forward.host}-:${forward.guest}`),
  ].join(',');
  const device = [
    'virtio-net-pci,id=nic0,netdev=net0',
    ...(mac === undefined ? [] : [`mac=${mac}`]),
    // Without its option ROM (an iPXE of its own) the card is driven by the firmware, as a card of a real server is.
    'romfile=',
    ...(bootIndex === undefined ? [] : [`bootindex=${bootIndex}`]),
  ].join(',');
  return ['-netdev', netdev, '-device', device];
}

export function diskArguments(disk: MachineDisk, index: number, bootIndex?: number): string[] {
  const driver = {
    virtio: 'virtio-blk-pci',
    nvme: 'nvme',
    sata: `ide-hd,bus=ide.${index}`,
    scsi: `scsi-hd,bus=scsi${index}.0`,
  }[disk.kind];
  const sector =
    disk.sectorBytes === undefined
      ? ''
      : `,logical_block_size=${disk.sectorBytes},physical_block_size=${disk.sectorBytes}`;
  const limits = [
    disk.readOnly ? ',readonly=on' : '',
    disk.writeBytesPerSecond === undefined ? '' : `,throttling.bps-write=${disk.writeBytesPerSecond}`,
  ].join('');
  const place = bootIndex === undefined ? '' : `,bootindex=${bootIndex}`;
  return [
    ...(disk.kind === 'scsi' ? ['-device', `virtio-scsi-pci,id=scsi${index}`] : []),
    '-drive',
    // unsafe: the guest's flushes need not reach this host's disk; such a disk does not outlive the host's crash.
    `if=none,id=drive${index},file=${word(disk.path)},format=${disk.format ?? 'raw'},cache=unsafe,discard=unmap,detect-zeroes=unmap${limits}`,
    '-device',
    `${driver},id=disk${index},drive=drive${index},serial=${word(disk.serial)}${sector}${place}`,
  ];
}
