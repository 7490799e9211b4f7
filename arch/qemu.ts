/** How QEMU plays a server of one architecture. Paths are absolute inside a tree of Debian trixie's packages. */
export type QemuMachine = {
  /** `uname -m` name. */
  arch: string;
  program: string;
  machine: string;
  /** CPU model under software emulation and under hardware virtualisation. */
  cpu: { tcg: string; kvm: string };
  /** UEFI: the code is shared and read-only, each machine has variables of its own. */
  firmware: { code: string; variables: string };
  /** What starts `-kernel` when no UEFI is asked for; without it, the kernel needs UEFI. */
  plainStart?: string;
  /**
   * Says that the firmware must not be told in which order to try devices: it then starts the drivers of those devices alone,
   * and without the one of the random number device its network driver does not start either.
   */
  ownBootOrder?: true;
  /** Network boot program that asks HTTP servers; the firmware's own network driver carries it. */
  ipxe: string;
  /** Serial console and its speed, for the kernel's `console=`. */
  console: string;
  /** What else a kernel in it has to be told. */
  parameters: readonly string[];
  /** Debian packages that hold the program and its firmware. */
  packages: readonly string[];
};

/** Debian's package with the iPXE programs of all architectures. */
export const IPXE_PACKAGE = 'ipxe';

const MACHINES: readonly QemuMachine[] = [
  {
    arch: 'x86_64',
    program: '/usr/bin/qemu-system-x86_64',
    machine: 'q35',
    cpu: { tcg: 'max', kvm: 'host' },
    firmware: { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
    plainStart: 'BIOS',
    ipxe: '/usr/lib/ipxe/snponly.efi',
    console: 'ttyS0,115200',
    // An emulated timer on a busy host ticks too seldom for the kernel's test of it, which then ends in a panic
    // ("IO-APIC + timer doesn't work"); under KVM and Hyper-V Linux leaves the test out by itself (arch/x86/kernel/kvm.c).
    parameters: ['no_timer_check'],
    packages: ['qemu-system-x86', 'ovmf'],
  },
  {
    arch: 'aarch64',
    program: '/usr/bin/qemu-system-aarch64',
    machine: 'virt,gic-version=max',
    // The firmware's network driver wants a processor that makes random numbers (RNDR), which the Cortex models do not. `max`
    // signs pointers, too, by an algorithm that takes an emulator a good part of its time unless it may use a simpler one.
    cpu: { tcg: 'max,pauth-impdef=on', kvm: 'host' },
    firmware: { code: '/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd', variables: '/usr/share/AAVMF/AAVMF_VARS.fd' },
    plainStart: 'no firmware',
    ipxe: '/usr/lib/ipxe/ipxe-arm64.efi',
    console: 'ttyAMA0,115200',
    parameters: [],
    packages: ['qemu-system-arm', 'qemu-efi-aarch64'],
  },
  {
    arch: 'loongarch64',
    program: '/usr/bin/qemu-system-loongarch64',
    machine: 'virt',
    cpu: { tcg: 'la464', kvm: 'host' },
    // QEMU itself cannot unpack a kernel in zboot form, and a machine that it describes without firmware has no PCI.
    firmware: {
      code: '/usr/share/qemu-efi-loongarch64/QEMU_EFI.fd',
      variables: '/usr/share/qemu-efi-loongarch64/QEMU_VARS.fd',
    },
    ownBootOrder: true,
    ipxe: '/usr/lib/ipxe/ipxe-loong64.efi',
    console: 'ttyS0,115200',
    parameters: [],
    packages: ['qemu-system-misc', 'qemu-efi-loongarch64'],
  },
];

/** Kernel parameters of every start in such a machine: its serial console, and what else the kernel has to be told. */
export function machineParameters({ console, parameters }: QemuMachine): string {
  return [`console=${console}`, ...parameters].join(' ');
}

/** The row of an architecture by its `uname -m` name; undefined where there is none. */
export function findQemuMachine(arch: string): QemuMachine | undefined {
  return MACHINES.find((row) => row.arch === arch);
}
