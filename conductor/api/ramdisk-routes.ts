import type { FastifyInstance } from 'fastify';
import { Value } from 'typebox/value';

import { HeartbeatSchema } from '../../agent/api/ironic.ts';
import { nodeView } from '../store/view.ts';
import type { ApiDeps } from './deps.ts';
import { apiFailure } from './errors.ts';
import { minorVersion, RAMDISK_MINOR } from './version.ts';

/** An inventory comes with the ramdisk's logs in it. */
const INVENTORY_LIMIT_BYTES = 64 * 1024 * 1024;
/** What agents accept as formats of an image; they look into the file, whatever its name says. */
const PERMITTED_FORMATS = ['raw', 'gpt', 'qcow2', 'iso'];

function lookupAnswer({ store, settings, baseUrl }: ApiDeps, uuid: string, token: string) {
  const { properties, instance_info, driver_internal_info } = nodeView(store.getNode(uuid));
  return {
    node: {
      uuid,
      properties,
      instance_info,
      driver_internal_info,
      links: [
        { href: `${baseUrl()}/v1/nodes/${uuid}`, rel: 'self' },
        { href: `${baseUrl()}/nodes/${uuid}`, rel: 'bookmark' },
      ],
    },
    config: {
      heartbeat_timeout: settings.heartbeatTimeoutSeconds,
      agent_token: token,
      agent_token_required: true,
      agent_md5_checksum_enable: false,
      disable_deep_image_inspection: false,
      permitted_image_formats: PERMITTED_FORMATS,
      // The BMC is known here: no need to search for it in the ramdisk.
      agent_skip_bmc_detect: true,
      enable_bios_bootloader_install: false,
      metrics: {
        backend: 'noop',
        prepend_host: false,
        prepend_uuid: false,
        prepend_host_reverse: true,
        global_prefix: null,
      },
      metrics_statsd: { statsd_host: 'localhost', statsd_port: 8125 },
    },
  };
}

/** What ramdisks call (agent-protocol B, C, H.1). No login: the token is what counts. */
export function ramdiskRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get('/v1/lookup', async (request) => {
    if (minorVersion(request) < RAMDISK_MINOR) throw apiFailure('NOT_FOUND', 'the resource');
    // A repeated parameter is a list.
    const query = request.query as Record<string, string | string[] | undefined>;
    const addresses = [query['addresses'] ?? []]
      .flat()
      .join(',')
      .split(',')
      .filter((text) => text !== '');
    const nodeUuid =
      typeof query['node_uuid'] === 'string' && query['node_uuid'] !== '' ? query['node_uuid'] : undefined;
    const { node, token } = deps.driver.lookup({ addresses, nodeUuid });
    return lookupAnswer(deps, node.uuid, token);
  });

  app.post('/v1/heartbeat/:ident', async (request, reply) => {
    if (minorVersion(request) < RAMDISK_MINOR) throw apiFailure('NOT_FOUND', 'the resource');
    const { ident } = request.params as { ident: string };
    if (!Value.Check(HeartbeatSchema, request.body)) {
      throw apiFailure(
        'REQUEST_INVALID',
        'a heartbeat has callback_url, agent_token and agent_version, and they are texts',
      );
    }
    deps.driver.heartbeat(ident, request.body);
    return reply.code(202).send();
  });

  const inspection = { bodyLimit: INVENTORY_LIMIT_BYTES };
  app.post('/v1/continue_inspection', inspection, async (request, reply) => {
    const node = deps.driver.continueInspection(request.body);
    return reply.code(202).send({ uuid: node.uuid });
  });
}
