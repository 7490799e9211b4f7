import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'deploy-baremetal',
  summary: 'Nothing: a name from the time before the agent, for command lines that still have it',
  warnings: [
    { text: 'it has no effect: it was for deployments over iSCSI, which Ironic gave up in favour of the agent' },
  ],
};
