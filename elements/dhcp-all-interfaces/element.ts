import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'dhcp-all-interfaces',
  summary: 'How long a start waits for an address; that every network card asks for one is so without this element',
  needs: ['init'],
  env: {
    DIB_DHCP_TIMEOUT: {
      type: 'int',
      default: '30',
      description: 'seconds after which the agent is started without an address; cards go on asking for one',
    },
  },
  texts: { 'etc/ingot/dhcp-timeout': { text: '{{DIB_DHCP_TIMEOUT}}\n' } },
};
