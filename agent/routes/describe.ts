/** The agent's description of itself at `/` and `/v1/`; the words are IPA's, because they are part of what it answers. */
const DOCUMENTATION = {
  href: 'https://docs.openstack.org/ironic-python-agent/',
  rel: 'describedby',
  type: 'text/html',
};

function version(base: string) {
  return { id: 'v1', links: [{ href: `${base}/v1`, rel: 'self' }, DOCUMENTATION] };
}

/** @param base `https://192.0.2.10:9999`, as the client called it */
export function describeRoot(base: string) {
  return {
    name: 'OpenStack Ironic Python Agent API',
    description: 'Ironic Python Agent is a provisioning agent for OpenStack Ironic',
    versions: [version(base)],
    default_version: version(base),
  };
}

export function describeVersion(base: string) {
  const resource = (name: string) => [
    { href: `${base}/v1/${name}`, rel: 'self' },
    { href: `${base}/${name}`, rel: 'bookmark' },
  ];
  return {
    ...version(base),
    commands: resource('commands'),
    status: resource('status'),
    media_types: [{ base: 'application/json', type: 'application/vnd.openstack.ironic-python-agent.v1+json' }],
  };
}
