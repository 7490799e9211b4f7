import type { Element } from '../../builder/element/element.ts';

const USER = '{{DIB_DEV_USER_USERNAME}}';

/** Who may use su: root and this user. Without such a file, PAM's file "other" says no to everybody. */
const SU = `auth sufficient pam_rootok.so
auth requisite pam_succeed_if.so quiet use_uid user = ${USER}
auth required pam_permit.so
account required pam_permit.so
session required pam_permit.so
`;

export const element: Element = {
  name: 'devuser',
  summary: 'A user who may log in, for looking into a running ramdisk',
  needs: ['login', 'openssh-server'],
  packages: [
    { name: 'util-linux', reason: 'su makes the user root, where a build allows it', only: ['usr/bin/su'] },
    {
      name: 'libpam-modules',
      reason: 'who may use su',
      only: ['usr/lib/*/security/pam_{rootok,succeed_if}.so'],
      rpm: { name: 'pam' },
    },
  ],
  env: {
    DIB_DEV_USER_USERNAME: {
      type: 'string',
      default: 'devuser',
      pattern: '[a-z_][a-z0-9_-]{0,30}',
      description: 'name of the user',
    },
    DIB_DEV_USER_PASSWORD: {
      type: 'password',
      description: 'password on the consoles, or its crypt(3) hash; only the hash is in the ramdisk',
    },
    DIB_DEV_USER_AUTHORIZED_KEYS: {
      type: 'path',
      description: 'file with public SSH keys that may log in; none unless it is set, not even that of whoever builds',
    },
    DIB_DEV_USER_PWDLESS_SUDO: {
      type: 'bool',
      default: 'no',
      description: 'whether the user becomes root with sudo or su, without a password',
    },
    DIB_DEV_USER_GROUPS: { type: 'list', description: 'groups that the user is in' },
    DIB_DEV_USER_SHELL: { type: 'string', default: '/bin/sh', pattern: '/.+', description: 'the user’s shell' },
  },
  warnings: [
    {
      text: 'nobody can log in as this user: neither DIB_DEV_USER_PASSWORD nor DIB_DEV_USER_AUTHORIZED_KEYS is set',
      unless: ['DIB_DEV_USER_PASSWORD', 'DIB_DEV_USER_AUTHORIZED_KEYS'],
    },
  ],
  users: [
    {
      name: USER,
      id: 1000,
      home: `/home/${USER}`,
      shell: '{{DIB_DEV_USER_SHELL}}',
      password: '{{DIB_DEV_USER_PASSWORD}}',
      groups: ['{{DIB_DEV_USER_GROUPS}}'],
    },
  ],
  groups: [{ name: USER, id: 1000 }],
  folders: {
    home: 0o755,
    [`home/${USER}`]: { mode: 0o700, owner: USER },
    [`home/${USER}/.ssh`]: { mode: 0o700, owner: USER },
  },
  texts: {
    [`home/${USER}/.ssh/authorized_keys`]: {
      text: '{{DIB_DEV_USER_AUTHORIZED_KEYS}}\n',
      mode: 0o600,
      owner: USER,
      when: 'DIB_DEV_USER_AUTHORIZED_KEYS',
    },
    'etc/pam.d/su': { text: SU, when: 'DIB_DEV_USER_PWDLESS_SUDO' },
    'etc/pam.d/su-l': { text: SU, when: 'DIB_DEV_USER_PWDLESS_SUDO' },
  },
  checks: [{ path: 'usr/bin/su', mode: 0o4755, reason: 'without its set-user-ID bit it cannot make anybody root' }],
};
