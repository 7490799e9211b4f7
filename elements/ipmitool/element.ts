import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'ipmitool',
  summary: 'ipmitool, with which the agent asks the BMC for its addresses',
  needs: ['base', 'kernel'],
  packages: [
    { name: 'ipmitool', reason: 'asks the BMC through the machine’s own interface', only: ['usr/bin/ipmitool'] },
  ],
  scripts: {
    ipmitool: 'sets up ipmievd, a service that is not in',
    libgcrypt20: 'looks after libraries that nobody manages',
  },
};
