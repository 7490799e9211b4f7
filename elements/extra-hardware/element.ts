import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'extra-hardware',
  summary: 'hardware-detect, for the agent’s collector extra-hardware, with the tools that it calls',
  needs: ['base', 'ipmitool'],
  packages: [
    {
      name: 'python3-hardware',
      reason: 'hardware-detect, whose data Ironic’s hook extra-hardware reads',
      only: ['usr/bin/hardware-detect', 'usr/lib/python3/dist-packages/hardware/**'],
      rpm: null,
    },
    { name: 'lshw', reason: 'lists every part of a machine; hardware-detect calls it', only: ['usr/bin/lshw'] },
    { name: 'dmidecode', reason: 'reads what the firmware says of the machine', only: ['usr/sbin/dmidecode'] },
    {
      name: 'ethtool',
      reason: 'hardware-detect asks network cards with it',
      only: ['usr/sbin/ethtool'],
      rpm: null,
    },
    {
      name: 'smartmontools',
      reason: 'hardware-detect asks disks with it',
      only: ['usr/sbin/smartctl'],
      rpm: null,
    },
  ],
  without: {
    'python3-pbr': 'for packaging the tool',
    lldpad: 'a daemon; the agent hears switches itself',
    hdparm: 'for its benchmarks of old disks',
    pciutils: 'ids of the InfiniBand cards alone are asked of it',
    debianutils: 'used by maintainer scripts only',
    dpkg: 'used by maintainer scripts only',
    tar: 'used by maintainer scripts only',
    netbase: 'names of ports and protocols',
    tzdata: 'the clock is UTC',
    'media-types': 'what the endings of file names mean',
  },
  scripts: {
    'python3*': 'compiles its modules beforehand, and makes folders for modules of a user',
    smartmontools: 'the database of drives is in the package; its service is not started',
  },
  prune: {
    'usr/lib/python3/dist-packages/hardware/tests/**': 'tests',
    'usr/lib/python3.*/lib-dynload/_{dbm,curses,curses_panel}.*': 'databases and screens, which it does not use',
    'usr/lib/python3.*/{idlelib,tkinter,turtledemo,test,ensurepip,pydoc_data,lib2to3}/**': 'not used by it',
  },
};
