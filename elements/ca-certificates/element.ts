import type { Element } from '../../builder/element/element.ts';

export const element: Element = {
  name: 'ca-certificates',
  summary: 'The certificate authorities that Mozilla trusts, for programs other than the agent: its Node has its own',
  needs: ['base'],
  packages: [
    {
      name: 'ca-certificates',
      reason: 'who may vouch for a server',
      only: ['usr/share/ca-certificates/mozilla/*.crt'],
    },
  ],
  without: { openssl: 'makes links by the certificates’ hashes, which programs that read the one file do not need' },
  joined: {
    'etc/ssl/certs/ca-certificates.crt': {
      from: 'usr/share/ca-certificates/mozilla/*.crt',
      reason: 'what update-ca-certificates does, whose output curl, wget and Python read',
    },
  },
  links: {
    'etc/ssl/cert.pem': 'certs/ca-certificates.crt',
    'usr/lib/ssl/certs': '/etc/ssl/certs',
    'usr/lib/ssl/cert.pem': '/etc/ssl/cert.pem',
  },
  scripts: {
    'ca-certificates': 'asks which authorities to trust, and joins their certificates in one file, as is done here',
  },
  checks: [{ path: 'etc/ssl/certs/ca-certificates.crt', mode: 0o644, reason: 'programs look for it there' }],
};
