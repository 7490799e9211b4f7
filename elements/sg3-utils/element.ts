import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'sg3-utils',
  summary: 'Programs that speak SCSI with disks: the agent erases SAS disks by their own Sanitize with them',
  needs: ['base'],
  packages: [
    {
      name: 'sg3-utils',
      reason: 'asks a SCSI disk what it can do, has it sanitize itself, and asks how far it is',
      only: ['usr/bin/{sg_opcodes,sg_requests,sg_sanitize}'],
      rpm: { name: 'sg3_utils' },
    },
  ],
  checks: [
    { path: 'usr/bin/sg_sanitize', mode: 0o755, reason: 'the agent calls it' },
    { path: 'usr/bin/sg_opcodes', mode: 0o755, reason: 'the agent calls it' },
    { path: 'usr/bin/sg_requests', mode: 0o755, reason: 'the agent calls it' },
  ],
};
