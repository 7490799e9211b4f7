import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'tools',
  summary: 'Programs that the agent calls to look at disks, to change them, to set boot entries and to hear LLDP',
  needs: ['base'],
  packages: [
    {
      name: 'util-linux',
      reason: 'lsblk, wipefs, blkdiscard and their kin: what disks are there, and what is on them',
      only: [
        'usr/bin/{lsblk,partx,findmnt,fallocate,lscpu,flock}',
        'usr/sbin/{blkid,wipefs,blkdiscard,blockdev,partx,hwclock,sfdisk,fsfreeze}',
      ],
    },
    {
      name: 'mount',
      reason: 'mount, umount and losetup with all their options',
      only: ['usr/bin/{mount,umount}', 'usr/sbin/losetup'],
      rpm: { name: 'util-linux' },
    },
    { name: 'gdisk', reason: 'sgdisk writes and repairs GUID partition tables', only: ['usr/sbin/sgdisk'] },
    {
      name: 'dosfstools',
      reason: 'mkfs.vfat: EFI system partitions of partition images, config drives for sectors of 4096 bytes',
      only: ['usr/sbin/mkfs.{fat,vfat}'],
    },
    {
      name: 'e2fsprogs',
      reason: 'mke2fs: the ephemeral partition of partition images, which Ironic wants as ext4',
      // openEuler has the libraries in the same package.
      only: ['usr/sbin/mke2fs', 'etc/mke2fs.conf', 'usr/lib**/lib{com_err,e2p,ext2fs}.so*'],
    },
    { name: 'hdparm', reason: 'ATA Security Erase and Sanitize, hidden areas', only: ['usr/sbin/hdparm'], rpm: null },
    { name: 'nvme-cli', reason: 'NVMe Sanitize and Format', only: ['usr/sbin/nvme'], rpm: null },
    { name: 'efibootmgr', reason: 'UEFI boot entries', only: ['usr/bin/efibootmgr'] },
    {
      name: 'socat',
      reason: 'hears what switches say of themselves (LLDP): Node has no packet sockets',
      only: ['usr/bin/{socat,socat1}'],
      rpm: null,
    },
  ],
  ifNeeded: {
    'usr/lib/*/lib{lastlog2,sqlite3}.so*': 'for the parts of util-linux that keep the times of logins',
    'usr/lib/*/libsystemd.so*': 'for the parts of util-linux that talk to systemd',
    'usr/lib/*/lib{ncursesw,formw,menuw,panelw,tic}.so*': 'for the parts of util-linux that draw on the screen',
  },
  without: {
    'uuid-runtime': 'makes names for hosts that connect to NVMe over fabrics',
    'login.defs': 'nobody logs in',
    logsave: 'keeps what fsck says; there is no fsck',
    libss2: 'for debugfs, which is not here',
  },
  scripts: {
    hdparm: 'removes rules of versions that nobody has',
    'nvme-cli': 'makes a name for a host that connects to NVMe over fabrics',
    'util-linux': 'makes more an alternative for the command pager, which nothing here calls',
    e2fsprogs: 'mends a link in the documentation, and checks file systems of installed systems by a timer',
  },
};
