import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'iscsi-boot',
  summary:
    'iscsistart and the kernel’s modules: the agent logs in to the iSCSI targets that the firmware starts machines from',
  needs: ['base', 'kernel'],
  arch: ['x86_64', 'aarch64'],
  packages: [
    {
      name: 'open-iscsi',
      reason: 'iscsistart makes the sessions that the firmware’s table (iBFT) names',
      only: ['usr/sbin/iscsistart'],
    },
  ],
  without: {
    debconf: 'asks questions when packages are installed',
    'init-system-helpers': 'used by maintainer scripts only',
    procps: 'used by maintainer scripts only',
  },
  ifNeeded: { 'usr/lib/*/libisns.so*': 'for the daemon, which is not in' },
  scripts: {
    'open-iscsi': 'names an initiator for the daemon, which is not in: the firmware’s table has the name',
  },
  modules: {
    'disks: iSCSI': { reason: 'the firmware’s table, and sessions over TCP', names: ['iscsi_ibft', 'iscsi_tcp'] },
  },
  checks: [{ path: 'usr/sbin/iscsistart', reason: 'the agent calls it' }],
};
