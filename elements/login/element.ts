import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'login',
  summary: 'A login on every console of the kernel’s command line, checked by PAM; nobody has a password by itself',
  needs: ['base', 'init'],
  packages: [
    {
      name: 'login',
      reason: 'asks for a password and starts a shell; unlike busybox’s it takes every kind of hash that crypt(3) does',
      only: ['usr/bin/login'],
      rpm: { name: 'util-linux' },
    },
    { name: 'libpam0g', reason: 'login asks it', only: ['usr/lib/*/lib*.so*'], rpm: { name: 'pam' } },
    {
      name: 'libpam-modules',
      reason: 'passwords in /etc/shadow',
      only: ['usr/lib/*/security/pam_{deny,permit,unix}.so'],
      rpm: { name: 'pam' },
    },
    {
      name: 'libpam-modules-bin',
      reason: 'compares a password with its hash',
      only: ['usr/sbin/unix_chkpwd'],
      rpm: { name: 'pam' },
    },
  ],
  rpm: {
    without: { libdb: 'a kind of user database' },
    scripts: { pam: 'looks after an older version' },
  },
  links: { 'usr/bin/whoami': 'busybox' },
  groups: [{ name: 'shadow', id: 42 }],
  without: {
    'libpam-runtime': 'PAM’s configuration is in this element',
    'libdb5.3t64': 'a kind of user database',
    'login.defs': 'nothing of it differs from what login does by itself',
  },
  scripts: {
    'libpam-modules': 'makes empty files for modules that are not in',
  },
  services: { logins: { run: '/etc/ingot/logins', start: 'respawn' } },
  checks: [
    { path: 'usr/sbin/unix_chkpwd', reason: 'PAM asks it whether a password is right' },
    { path: 'etc/shadow', mode: 0o600, reason: 'only root may read hashes' },
  ],
};
