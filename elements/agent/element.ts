import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'agent',
  summary: 'The agent in one file, with a Node of its own',
  // What diskimage-builder's users call it.
  provides: ['ironic-python-agent', 'ironic-python-agent-ramdisk', 'ironic-ramdisk-base'],
  needs: ['base', 'init', 'kernel', 'tools', 'software-raid'],
  services: { agent: { run: '/etc/ingot/agent', start: 'respawn' } },
  agent: { node: 'opt/ingot/node', bundle: 'opt/ingot/agent.cjs' },
  folders: { 'etc/ingot': 0o755, 'etc/ironic-python-agent.d': 0o755 },
};
