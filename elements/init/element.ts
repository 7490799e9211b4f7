import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'init',
  summary: 'Starts the machine: file systems, devices, network, then the services of the other elements',
  provides: ['init-system'],
  needs: ['base'],
  services: {
    sysinit: { run: '/etc/ingot/sysinit', start: 'sysinit' },
    reboot: { run: '/usr/sbin/reboot', start: 'ctrlaltdel' },
    shutdown: { run: '/etc/ingot/shutdown', start: 'shutdown' },
  },
  packages: [
    {
      name: 'udev',
      reason:
        'loads drivers for what is there, and gives disks the names, serial numbers and paths that root device hints use',
      only: ['usr/bin/udevadm', 'usr/lib/systemd/**', 'usr/lib/udev/**'],
      rpm: { name: 'systemd-udev' },
    },
    { name: 'kmod', reason: 'the kernel calls modprobe for file systems and protocols' },
  ],
  without: {
    'openssl-provider-legacy': 'ciphers that nothing here uses; libcrypto finds it only when asked to',
    systemd: 'busybox init starts in a fraction of its time',
    'systemd-standalone-sysusers': 'users are declared in elements',
    'systemd-sysusers': 'users are declared in elements',
  },
  scripts: {
    kmod: 'writes an /etc/modules that only says it is obsolete; the elements name the modules',
    udev: 'compiles hwdb.d, which is left out; its groups are declared here',
  },
  prune: {
    'usr/lib/udev/hwdb.d/**': 'describes keyboards, mice and brand names; drivers are found without it',
    'usr/lib/systemd/system/**': 'no systemd',
    'usr/lib/*/engines-3/**': 'hardware that does OpenSSL’s work',
    'usr/lib/*/systemd/libsystemd-core-*.so': 'systemd itself',
    'usr/lib/udev/{fido_id,iocost,mtd_probe,v4l_id}': 'security keys, cgroups, flash chips and cameras',
    'usr/lib/udev/rules.d/{60-cdrom_id,60-persistent-v4l,60-persistent-alsa,60-fido-id,60-evdev,60-input-id,70-camera,70-joystick,70-memory,70-mouse,70-power-switch,70-touchpad,75-probe_mtd,78-sound-card,81-net-dhcp,90-iocost}.rules':
      'rules for hardware that a ramdisk does not use; each costs time for each device',
  },
  ifNeeded: {
    'usr/lib/*/libssl.so*': 'comes with libcrypto, which udev and kmod link; nothing of theirs speaks TLS',
    'usr/lib/*/lib{pamc,pam_misc,psx,drop_ambient}.so*': 'come with libraries that udev links',
  },
  rpm: {
    packages: [
      {
        name: 'systemd',
        reason: 'udev is linked with a library that is in this package',
        only: ['usr/lib**/libsystemd-shared-*.so'],
      },
    ],
    scripts: {
      'systemd-udev': 'compiles hwdb.d, which is left out; its groups are declared here',
      systemd: 'looks after units and journals; only a library of it is in',
    },
    without: {
      'util-linux': 'for systemd itself; the element tools has what the agent needs of it',
    },
  },
  links: {
    'usr/lib/systemd/systemd-udevd': '../../bin/udevadm',
    'etc/mtab': '/proc/mounts',
  },
  groups: [
    { name: 'tty', id: 5 },
    { name: 'disk', id: 6 },
    { name: 'lp', id: 7 },
    { name: 'dialout', id: 20 },
    { name: 'cdrom', id: 24 },
    { name: 'tape', id: 26 },
    { name: 'audio', id: 29 },
    { name: 'video', id: 44 },
    { name: 'kmem', id: 15 },
    { name: 'input', id: 101 },
    { name: 'sgx', id: 102 },
    { name: 'kvm', id: 103 },
    { name: 'render', id: 104 },
    { name: 'clock', id: 105 },
  ],
};
