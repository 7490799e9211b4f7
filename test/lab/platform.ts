import { findQemuMachine, machineParameters } from '../../arch/qemu.ts';
import { findArchitecture } from '../../arch/table.ts';
import { labFailure } from './failures.ts';

/** What the user image of an architecture is made of. */
export type Platform = {
  /** `uname -m` name. */
  arch: string;
  /** Kernel parameters of the machine that it runs in, its serial console among them. */
  kernelParameters: string;
  /** Where the firmware looks for a loader on a disk without a boot entry. */
  removableLoader: string;
  /** systemd-boot's program for it, in the user image's root tree. */
  bootLoader: string;
  /** GPT type of its root file system, sgdisk's short form. */
  rootPartitionType: string;
  /** Debian's kernel package for virtual machines. */
  cloudKernel: string;
};

const PLATFORMS = [
  {
    arch: 'x86_64',
    bootLoader: 'usr/lib/systemd/boot/efi/systemd-bootx64.efi',
    rootPartitionType: '8304',
    cloudKernel: 'linux-image-cloud-amd64',
  },
];

/** @throws Failure `NO_PLATFORM` */
export function findPlatform(arch: string): Platform {
  const own = PLATFORMS.find((platform) => platform.arch === arch);
  const machine = findQemuMachine(arch);
  const loader = findArchitecture(arch)?.boot.efiFiles[0];
  if (own === undefined || machine === undefined || loader === undefined) throw labFailure('NO_PLATFORM', arch);
  return { ...own, kernelParameters: machineParameters(machine), removableLoader: `EFI/BOOT/${loader}` };
}
