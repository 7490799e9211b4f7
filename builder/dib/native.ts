/** Why a name of diskimage-builder's catalogue needs no element of its own here. */
export type Replacement = {
  /**
   * `base`: the base of the build stands for it; `engine`: our own element of the same name in builder/dib/elements does the same;
   * `nothing`: what it does has no place in a ramdisk of ours; `refused`: a build that asks for it cannot mean a ramdisk.
   */
  by: 'base' | 'nothing' | 'refused';
  reason: string;
  /** Said to whoever asked for it by name. */
  warning?: string;
};

const base = (reason: string): Replacement => ({ by: 'base', reason });
const nothing = (reason: string, warning?: string): Replacement => ({
  by: 'nothing',
  reason,
  ...(warning !== undefined && { warning }),
});
const refused = (reason: string): Replacement => ({ by: 'refused', reason });

const OWN_ROOT = 'the base of the build brings the operating system, from signed packages';
const DISK = 'it lays out or boots a disk, and a ramdisk has none';

/**
 * Names of diskimage-builder and ironic-python-agent-builder that are answered without their elements. Names that an element of
 * Ingot has (devuser, openssh-server, ...) are not here: that element answers.
 */
export const REPLACEMENTS: Readonly<Record<string, Replacement>> = {
  debian: base(OWN_ROOT),
  'debian-minimal': base(OWN_ROOT),
  'debian-systemd': base(OWN_ROOT),
  debootstrap: base(OWN_ROOT),
  'openeuler-minimal': base(OWN_ROOT),
  centos: base(OWN_ROOT),
  'centos-minimal': base(OWN_ROOT),
  'yum-minimal': base(OWN_ROOT),
  yum: base('install-packages comes with the base'),
  'rpm-distro': base(OWN_ROOT),
  'redhat-common': base(OWN_ROOT),
  'ironic-python-agent-ramdisk': nothing('the agent is Ingot’s own, in the element agent'),
  'ironic-ramdisk-base': nothing('Ingot packs kernel and initramfs itself'),
  'no-final-image': nothing('there is no disk image'),
  'select-boot-kernel-initrd': nothing('Ingot chooses the kernel'),
  'selinux-permissive': nothing('the ramdisk has no SELinux policy'),
  'disable-selinux': nothing('the ramdisk has no SELinux policy'),
  'selinux-fixfiles-restore': nothing('an initramfs holds no labels'),
  'deploy-baremetal': nothing(
    'it is for deployments over iSCSI, which Ironic gave up for the agent',
    'element deploy-baremetal has no effect: it is for deployments over iSCSI, which Ironic gave up for the agent',
  ),
  vm: refused(DISK),
  bootloader: refused(DISK),
  grub2: refused(DISK),
  lvm: refused(DISK),
  zipl: refused(DISK),
  uboot: refused(DISK),
  iso: refused('--format iso makes one'),
  ramdisk: refused('it makes a ramdisk of the kind that came before the agent'),
  'ramdisk-base': refused('it makes a ramdisk of the kind that came before the agent'),
  'dracut-ramdisk': refused('it makes a ramdisk of the kind that came before the agent'),
  'block-device-mbr': refused(DISK),
  'block-device-gpt': refused(DISK),
  'block-device-efi': refused(DISK),
  'block-device-efi-4k': refused(DISK),
  'block-device-efi-lvm': refused(DISK),
};
