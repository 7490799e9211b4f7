import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'runtime-ssh-host-keys',
  summary: 'SSH host keys that are made at every boot, so that no two machines and no two boots have the same ones',
  needs: ['base', 'init'],
  packages: [
    {
      name: 'openssh-client',
      reason: 'makes the keys, itself or by openssh-common',
      only: ['usr/bin/ssh-keygen'],
      rpm: { name: 'openssh' },
    },
  ],
  without: {
    libedit2: 'line editing of sftp, which is not in',
    'libfido2-1': 'security keys are asked by a helper that is not in',
  },
  prune: { 'usr/lib/openssh/ssh-{pkcs11,sk}-helper': 'talk to security keys, which host keys are not on' },
  scripts: {
    'openssh-client': 'makes ssh-agent set-group-ID; it is not in',
    'libgssapi-krb5-2': 'moves what an older version left',
  },
  rpm: { scripts: { openssh: 'makes a group for a helper that is not in' } },
  checks: [
    { path: 'etc/ssh/ssh_host_*', absent: true, reason: 'a host key in a ramdisk is known to whoever has the ramdisk' },
  ],
};
