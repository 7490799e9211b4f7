import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'erase-tools',
  summary: 'hdparm and nvme for ramdisks on bases of RPM packages, where the element tools leaves them out',
  needs: ['base'],
  packages: [
    { name: 'hdparm', reason: 'ATA Security Erase and Sanitize, hidden areas', only: ['usr/sbin/hdparm'] },
    { name: 'nvme-cli', reason: 'NVMe Sanitize and Format', only: ['usr/sbin/nvme'] },
  ],
  without: { 'uuid-runtime': 'makes names for hosts that connect to NVMe over fabrics' },
  scripts: {
    hdparm: 'removes rules of versions that nobody has',
    'nvme-cli': 'makes a name for a host that connects to NVMe over fabrics, and sets up its services',
  },
  checks: [
    { path: 'usr/sbin/hdparm', reason: 'the agent calls it' },
    { path: 'usr/sbin/nvme', reason: 'the agent calls it' },
  ],
};
