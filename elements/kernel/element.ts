import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'kernel',
  summary: 'Debian’s kernel, the drivers of a server’s disks and network cards, and the firmware that they ask for',
  needs: ['base'],
  packages: [{ name: '{kernel}', reason: 'the kernel and its modules', only: [] }],
  without: {
    'initramfs-tools': 'this is the ramdisk',
    dracut: 'this is the ramdisk',
    'linux-base': 'used by maintainer scripts only',
  },
  scripts: {
    'linux-image-*': 'the builder writes the modules’ indexes; links in /boot and hooks are for installed systems',
  },
  rpm: {
    without: { grubby: 'boot entries of installed systems' },
    scripts: { 'kernel*': 'the builder writes the modules’ indexes; boot entries and hooks are for installed systems' },
  },
  modules: {
    'disks: SATA, SCSI, NVMe': {
      reason: 'the disks that are to be inspected, erased and written',
      names: ['ahci', 'ata_piix', 'ata_generic', 'sd_mod', 'sr_mod', 'sg', 'ses', 'nvme', 'vmd', 'loop'],
    },
    'disks: virtual machines': {
      reason: 'test machines and clouds',
      names: ['virtio_blk', 'virtio_scsi', 'vmw_pvscsi', 'hv_storvsc', 'xen-blkfront', 'mptspi', 'mptsas', 'sym53c8xx'],
    },
    'disks: RAID and SAS controllers': {
      reason: 'the controllers of common servers',
      names: [
        'megaraid_sas',
        'mpt3sas',
        'mpi3mr',
        'smartpqi',
        'hpsa',
        'aacraid',
        'arcmsr',
        'isci',
        'pm80xx',
        'mvsas',
        'mvumi',
      ],
    },
    'disks: Fibre Channel': { reason: 'servers that boot from a storage network', names: ['lpfc', 'qla2xxx'] },
    'disks: USB and flash cards': {
      reason: 'virtual media of a BMC, and servers that boot from a card',
      names: ['usb-storage', 'uas', 'xhci-pci', 'ehci-pci', 'uhci-hcd', 'ohci-pci', 'sdhci-pci', 'mmc_block'],
    },
    'network: Intel': {
      reason: 'network cards of common servers',
      names: ['e1000', 'e1000e', 'igb', 'igbvf', 'igc', 'ixgbe', 'ixgbevf', 'i40e', 'iavf', 'ice'],
    },
    'network: Broadcom': { reason: 'network cards of common servers', names: ['tg3', 'bnx2', 'bnx2x', 'bnxt_en'] },
    'network: NVIDIA Mellanox': { reason: 'network cards of common servers', names: ['mlx4_en', 'mlx5_core'] },
    'network: others': {
      reason: 'network cards of common servers',
      names: [
        'r8169',
        'atlantic',
        'be2net',
        'enic',
        'sfc',
        'qede',
        'cxgb4',
        'ionic',
        'hinic',
        'amd-xgbe',
        'alx',
        'sky2',
        'forcedeth',
        'mana',
        'ena',
        'gve',
        'qlcnic',
        'netxen_nic',
      ],
    },
    'network: virtual machines': {
      reason: 'test machines and clouds',
      names: ['virtio_net', 'vmxnet3', 'hv_netvsc', 'xen-netfront', 'pcnet32', '8139cp', '8139too'],
    },
    'network: USB': { reason: 'a BMC’s network over USB', names: ['cdc_ether', 'rndis_host', 'r8152', 'ax88179_178a'] },
    'network: bonds and VLANs': { reason: 'switch ports that speak nothing else', names: ['bonding', '8021q'] },
    'file systems': {
      reason: 'EFI partitions, config drives, virtual media, and looking into what was written',
      names: [
        'vfat',
        'nls_ascii',
        'nls_cp437',
        'nls_utf8',
        'nls_iso8859-1',
        'isofs',
        'ext4',
        'crc32c_generic', // without it no ext4 of today is mounted
        'overlay',
        'squashfs',
        'efivarfs',
      ],
    },
    checksums: {
      reason: 'ext4, md and bnx2x ask the kernel for CRC-32C by a name that no module’s dependencies have',
      names: ['crc32c_generic', 'crc32c-intel'],
    },
    machine: {
      reason: 'random numbers, keyboards and the channel to the BMC',
      names: ['virtio-rng', 'hid-generic', 'usbhid', 'hv_vmbus', 'hv_utils', 'ipmi_si', 'ipmi_ssif', 'ipmi_devintf'],
    },
  },
  firmware: [
    { name: 'firmware-bnx2', reason: 'asked for by bnx2', optional: true, rpm: { name: 'linux-firmware' } },
    { name: 'firmware-bnx2x', reason: 'asked for by bnx2x', optional: true, rpm: { name: 'linux-firmware' } },
    { name: 'firmware-intel-misc', reason: 'asked for by ice', optional: true, rpm: { name: 'linux-firmware' } },
    {
      name: 'firmware-qlogic',
      reason: 'asked for by qede and qla2xxx',
      optional: true,
      rpm: { name: 'linux-firmware' },
    },
    { name: 'firmware-realtek', reason: 'asked for by r8169', optional: true, rpm: { name: 'linux-firmware' } },
    {
      name: 'firmware-misc-nonfree',
      reason: 'asked for by tg3 and cxgb4',
      optional: true,
      rpm: { name: 'linux-firmware' },
    },
    { name: 'firmware-linux-free', reason: 'free firmware', optional: true, rpm: { name: 'linux-firmware' } },
  ],
};
