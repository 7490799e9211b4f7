import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'dynamic-login',
  summary: 'Root’s password and SSH keys from the kernel’s command line: rootpwd= and sshkey=',
  needs: ['login', 'openssh-server'],
  services: { 'dynamic-login': { run: '/etc/ingot/dynamic-login', start: 'wait' } },
};
