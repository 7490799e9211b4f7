import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'software-raid',
  summary: 'Arrays of the kernel’s own (md): the program that makes and stops them, and the modules that run them',
  needs: ['base'],
  packages: [
    {
      name: 'mdadm',
      reason: 'makes, stops and reads arrays',
      // Without its rules that start every array as its disks appear; these let udev read what is on an array.
      only: ['usr/sbin/mdadm', 'usr/lib/udev/rules.d/63-md-raid-arrays.rules'],
    },
  ],
  scripts: { mdadm: 'writes its configuration for an installed system; here arrays are named by the agent' },
  modules: {
    'disks: software RAID': {
      reason: 'arrays of each level',
      names: ['md_mod', 'raid0', 'raid1', 'raid10', 'raid456'],
    },
  },
};
