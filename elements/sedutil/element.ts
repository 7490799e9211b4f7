import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'sedutil',
  summary: 'sedutil-cli, with which the agent reverts self-encrypting disks (TCG Opal) whose PSID it is given',
  needs: ['base'],
  packages: [
    {
      name: 'sedutil',
      reason: 'sedutil-cli asks a disk for TCG Opal, and reverts it by the PSID that is printed on it',
      only: ['usr/sbin/sedutil-cli'],
      rpm: null,
    },
  ],
  checks: [{ path: 'usr/sbin/sedutil-cli', reason: 'the agent calls it; no base of RPM packages has it' }],
};
