import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'burn-in',
  summary: 'fio, stress-ng and smartctl, for wearing a machine in before it is used: the agent’s steps burnin_*',
  needs: ['base'],
  packages: [
    { name: 'fio', reason: 'loads disks and networks', only: ['usr/bin/fio'] },
    { name: 'stress-ng', reason: 'loads processors and memory', only: ['usr/bin/stress-ng'] },
    {
      name: 'smartmontools',
      reason: 'smartctl has disks test themselves',
      only: ['usr/sbin/smartctl'],
    },
  ],
  without: {
    python3: 'for fio’s scripts that draw diagrams',
    'libegl-mesa0': 'draws; stress-ng’s test of graphics cards finds none',
    'mesa-libgallium': 'draws; stress-ng’s test of graphics cards finds none',
    'libgl1-mesa-dri': 'draws; stress-ng’s test of graphics cards finds none',
    'ibverbs-providers': 'drivers for RDMA cards, without which fio uses TCP',
    netbase: 'names of ports and protocols',
    dpkg: 'used by maintainer scripts only',
    debianutils: 'used by maintainer scripts only',
  },
  prune: { 'usr/lib/*/gbm/**': 'draws; stress-ng’s test of graphics cards finds none' },
  scripts: {
    smartmontools: 'starts smartd, and copies names of disks’ attributes, which a self-test does not need',
    fio: 'changes a file of an older version',
    'libgssapi-krb5-2': 'moves what an older version left',
    libibverbs1: 'makes a group for RDMA devices, which only root uses here',
  },
};
