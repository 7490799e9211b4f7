import type { Platform } from './platform.ts';

/** Raised when the way in which the image is made changes without a change in the data here. */
const FORMAT = 1;

export type ImageFile = { path: string; text: string; mode?: number };

/** Everything that decides what is in the user image; its digest names it in the cache. */
export type UserImageRecipe = {
  format: number;
  release: string;
  arch: string;
  packages: readonly string[];
  /** Not installed from the packages: nobody reads documentation in a test machine. */
  excluded: readonly string[];
  files: readonly ImageFile[];
  /** Shell script, run in the root tree after the packages are configured. */
  finish: string;
  sizeMiB: number;
  espMiB: number;
  kernelCommandLine: string;
};

/** User that cloud-init makes, as Debian's cloud.cfg says. */
export const USER_NAME = 'debian';

const PACKAGES = [
  'systemd',
  'systemd-sysv',
  'systemd-resolved',
  'systemd-boot-efi',
  'udev',
  'dbus',
  'cloud-init',
  'cloud-guest-utils', // growpart: the root file system takes the whole disk
  'fdisk',
  'e2fsprogs',
  'openssh-server',
  'sudo',
  'iproute2',
  'initramfs-tools',
  'zstd',
  'mdadm', // a root file system on software RAID
  'ca-certificates',
];

/** Units that only cost time in a machine that lives for minutes. */
const MASKED_UNITS = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'sshd-keygen.service', // cloud-init makes the host keys, and only the kinds that are asked for
];

/** Copies kernel and initramfs to the ESP whenever either changes; the name sorts after initramfs-tools' own hook. */
const ESP_HOOK = `#!/bin/sh
set -eu
[ -d /boot/efi/loader ] || exit 0
mkdir -p /boot/efi/debian
cp /vmlinuz /boot/efi/debian/vmlinuz
cp /initrd.img /boot/efi/debian/initrd.img
`;

const FILES: readonly ImageFile[] = [
  {
    path: 'etc/fstab',
    text: 'LABEL=root / ext4 defaults,noatime 0 1\nLABEL=ESP /boot/efi vfat umask=0077,noauto,x-systemd.automount 0 0\n',
  },
  { path: 'etc/machine-id', text: '' },
  { path: 'etc/hostname', text: 'unconfigured\n' },
  { path: 'etc/initramfs-tools/conf.d/image', text: 'MODULES=list\nCOMPRESS=zstd\nRESUME=none\nFSTYPE=ext4\n' },
  {
    path: 'etc/initramfs-tools/modules',
    text: ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'nvme', 'ahci', 'sd_mod', 'ext4', 'md_mod', 'raid1', ''].join(
      '\n',
    ),
  },
  {
    path: 'etc/cloud/cloud.cfg.d/90-metal.cfg',
    text: [
      'datasource_list: [ConfigDrive, None]',
      'ssh_genkeytypes: [ed25519]',
      'apt_preserve_sources_list: true',
      'manage_etc_hosts: true',
      '',
    ].join('\n'),
  },
  { path: 'etc/kernel/postinst.d/zz-esp', text: ESP_HOOK, mode: 0o755 },
  { path: 'etc/initramfs/post-update.d/zz-esp', text: ESP_HOOK, mode: 0o755 },
];

const FINISH = `set -eu
update-initramfs -u
mkdir -p /boot/efi
rm -f /etc/ssh/ssh_host_*
systemctl mask ${MASKED_UNITS.join(' ')}
systemctl enable systemd-networkd.service ssh.service
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
rm -rf /usr/share/doc /usr/share/man /usr/share/info /var/cache/debconf/*-old /var/lib/dpkg/*-old
# Otherwise the first boot spends seconds on updating what is up to date.
touch -d '+1 day' /etc/.updated /var/.updated
`;

/** The user image of a platform: a small real Debian server that takes its settings from a config drive. */
export function userImageRecipe(platform: Platform): UserImageRecipe {
  return {
    format: FORMAT,
    release: 'trixie',
    arch: platform.arch,
    packages: [...PACKAGES, platform.cloudKernel],
    excluded: ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*'],
    files: FILES,
    finish: FINISH,
    sizeMiB: 2048,
    espMiB: 128,
    kernelCommandLine: `root=LABEL=root ro console=tty0 ${platform.kernelParameters} panic=10`,
  };
}
