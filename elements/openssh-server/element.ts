import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'openssh-server',
  summary: 'OpenSSH: log in with a key, and copy files',
  needs: ['base', 'init', 'runtime-ssh-host-keys'],
  packages: [
    {
      name: 'openssh-server',
      reason: 'SSH, from the people who know it best',
      only: ['usr/sbin/sshd', 'usr/{lib,libexec}/openssh/sshd-*'],
    },
    { name: 'libpam0g', reason: 'sshd is linked with it', only: ['usr/lib/*/lib*.so*'], rpm: { name: 'pam' } },
  ],
  without: {
    'openssh-sftp-server': 'sshd has one in itself',
    'libpam-modules': 'sshd checks keys and hashes itself',
    'libpam-runtime': 'sshd checks keys and hashes itself',
    procps: 'busybox has what is needed',
  },
  scripts: {
    'openssh-server':
      'makes host keys, which are made at boot, and sshd_config, which is here; the user is declared here',
    libwtmpdb0: 'makes a link to a log of logins that nothing here keeps',
    'libgssapi-krb5-2': 'moves what an older version left',
  },
  env: {
    DIB_OPENSSH_SERVER_PASSWORDS: {
      type: 'bool',
      default: 'no',
      description: 'whether a password is enough to log in by SSH, root’s included; keys always are',
    },
  },
  users: [{ name: 'sshd', id: 106, home: '/run/sshd', shell: '/usr/sbin/nologin' }],
  folders: { 'etc/ssh': 0o755, 'etc/ssh/sshd_config.d': 0o755 },
  texts: {
    'etc/ssh/sshd_config.d/passwords.conf': {
      text: 'PasswordAuthentication yes\nPermitRootLogin yes\n',
      when: 'DIB_OPENSSH_SERVER_PASSWORDS',
    },
  },
  services: { sshd: { run: '/etc/ingot/sshd', start: 'respawn' } },
};
