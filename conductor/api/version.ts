import type { FastifyReply, FastifyRequest } from 'fastify';

import { VERSION_HEADER } from '../../agent/api/ironic.ts';
import { apiFailure } from './errors.ts';

/** API microversions: major is always 1, these are the minors. 81 brought `GET /v1/nodes/{node}/inventory`, the newest thing that is served here. */
export const MIN_MINOR = 1;
export const MAX_MINOR = 81;
/** The ramdisk endpoints came with it; older requests get 404 (agent-protocol B.5). */
export const RAMDISK_MINOR = 22;

const REFERENCES = {
  'x-openstack-ironic-api-minimum-version': `1.${MIN_MINOR}`,
  'x-openstack-ironic-api-maximum-version': `1.${MAX_MINOR}`,
};

/** The minor version that a request asks for; none means the oldest, as with Ironic. */
export function minorVersion(request: FastifyRequest): number {
  const header = request.headers[VERSION_HEADER];
  if (header === undefined) return MIN_MINOR;
  if (header === 'latest') return MAX_MINOR;
  const match = /^1\.(\d{1,4})$/.exec(String(header));
  const minor = match ? Number(match[1]) : 0;
  if (minor < MIN_MINOR || minor > MAX_MINOR) {
    throw apiFailure(
      'VERSION_UNSUPPORTED',
      `${String(header).slice(0, 40)}: it goes from 1.${MIN_MINOR} to 1.${MAX_MINOR}`,
    );
  }
  return minor;
}

/** Checks the version of a request and says in the answer which there are. */
export async function negotiateVersion(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers(REFERENCES);
  reply.header(VERSION_HEADER, `1.${minorVersion(request)}`);
}

/** The root document: agents read the newest version from `default_version.version`. */
export function rootDocument(base: string) {
  const version = {
    id: 'v1',
    links: [{ href: `${base}/v1/`, rel: 'self' }],
    status: 'CURRENT',
    min_version: `1.${MIN_MINOR}`,
    version: `1.${MAX_MINOR}`,
  };
  return {
    name: 'Ingot conductor',
    description: "A subset of OpenStack Ironic's API, for one machine room and one process",
    default_version: version,
    versions: [version],
  };
}

/** The `/v1` document. */
export function v1Document(base: string) {
  const link = (name: string) => [
    { href: `${base}/v1/${name}/`, rel: 'self' },
    { href: `${base}/${name}/`, rel: 'bookmark' },
  ];
  return {
    ...rootDocument(base).default_version,
    media_types: [{ base: 'application/json', type: 'application/vnd.openstack.ironic.v1+json' }],
    version: rootDocument(base).default_version,
    nodes: link('nodes'),
    ports: link('ports'),
    lookup: link('lookup'),
    heartbeat: link('heartbeat'),
  };
}
