import { labFailure } from './failures.ts';

/** How QEMU plays a server of one architecture. Paths are absolute inside the tool tree of `tools.ts`. */
export type Platform = {
  /** `uname -m` name. */
  arch: string;
  qemu: string;
  machine: string;
  /** CPU model under software emulation and under hardware virtualisation. */
  cpu: { tcg: string; kvm: string };
  /** UEFI: the code is shared and read-only, the variables are copied for each machine. */
  firmware: { code: string; variables: string };
  /** Network boot program that asks HTTP servers; the firmware's own network driver carries it. */
  ipxe: string;
  /** Serial console as the kernel names it. */
  console: string;
  /** Where the firmware looks for a loader on a disk without a boot entry. */
  removableLoader: string;
  /** systemd-boot's program for it, in the user image's root tree. */
  bootLoader: string;
  /** GPT type of its root file system, sgdisk's short form. */
  rootPartitionType: string;
  /** Debian's kernel package for virtual machines and the image's name for the kernel. */
  cloudKernel: string;
  /** Debian packages that this row needs in the tool tree. */
  packages: readonly string[];
};

const PLATFORMS: readonly Platform[] = [
  {
    arch: 'x86_64',
    qemu: '/usr/bin/qemu-system-x86_64',
    machine: 'q35',
    cpu: { tcg: 'max', kvm: 'host' },
    firmware: { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
    ipxe: '/usr/lib/ipxe/snponly.efi',
    console: 'ttyS0,115200',
    removableLoader: 'EFI/BOOT/BOOTX64.EFI',
    bootLoader: 'usr/lib/systemd/boot/efi/systemd-bootx64.efi',
    rootPartitionType: '8304',
    cloudKernel: 'linux-image-cloud-amd64',
    packages: ['qemu-system-x86', 'ovmf', 'ipxe'],
  },
];

/** @throws Failure `NO_PLATFORM` */
export function findPlatform(arch: string): Platform {
  const row = PLATFORMS.find((platform) => platform.arch === arch);
  if (row === undefined) throw labFailure('NO_PLATFORM', arch);
  return row;
}
