import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'simple-init',
  summary: 'The network as a config drive says it: addresses, VLANs, bonds, routes and name servers',
  needs: ['agent', 'init', 'kernel', 'tools'],
};
