import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Value } from 'typebox/value';
import type { Static } from 'typebox';

import { checkConfigdrive } from '../drive/configdrive.ts';
import { DELETE_STATES, PROVISION_STATES, type ProvisionState } from '../states/table.ts';
import type { JsonObject, NodeRecord } from '../store/node.ts';
import { nodeView, portView } from '../store/view.ts';
import type { ApiDeps } from './deps.ts';
import {
  type NewNodeBody,
  NewNodeSchema,
  PatchedNodeSchema,
  PatchSchema,
  PowerSchema,
  ProvisionSchema,
  RaidSchema,
} from './bodies.ts';
import { apiFailure } from './errors.ts';
import { applyPatch } from './json-patch.ts';

/** 64 MiB of config drive, gzipped and in base64, with room around it. */
const PROVISION_LIMIT_BYTES = 128 * 1024 * 1024;
const SUMMARY = ['uuid', 'name', 'instance_uuid', 'power_state', 'provision_state', 'maintenance'];
const PATCHABLE = [
  'name',
  'description',
  'resource_class',
  'instance_uuid',
  'properties',
  'driver_info',
  'instance_info',
  'extra',
  'driver',
] as const;

type Ident = { ident: string };
const identOf = (request: FastifyRequest) => (request.params as Ident).ident;
const queryOf = (request: FastifyRequest) => request.query as Record<string, string | undefined>;
const isTrue = (text: string | undefined) => /^(true|1|yes|on)$/i.test(text ?? '');

function refuseConfigdrive(info: JsonObject | undefined): void {
  if (info?.['configdrive'] === undefined) return;
  throw apiFailure(
    'REQUEST_INVALID',
    'configdrive goes with the request to deploy (PUT states/provision), not into instance_info',
  );
}

function view(deps: ApiDeps, node: NodeRecord): JsonObject {
  const { driver } = deps;
  const links = [
    { href: `${deps.baseUrl()}/v1/nodes/${node.uuid}`, rel: 'self' },
    { href: `${deps.baseUrl()}/nodes/${node.uuid}`, rel: 'bookmark' },
  ];
  const { id: _, ...shown } = nodeView(node, {
    reservation: driver.reservation(node.uuid),
    agentProgress: driver.progress(node.uuid),
  });
  return { ...shown, links };
}

function pick(node: JsonObject, fields: readonly string[]): JsonObject {
  const unknown = fields.find((field) => !Object.hasOwn(node, field));
  if (unknown !== undefined) throw apiFailure('REQUEST_INVALID', `a node has no field ${unknown}`);
  return Object.fromEntries(fields.map((field) => [field, node[field]]));
}

function listRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const list = (request: FastifyRequest, detail: boolean) => {
    const { provision_state, fields, driver } = queryOf(request);
    if (provision_state !== undefined && !PROVISION_STATES.includes(provision_state as ProvisionState)) {
      throw apiFailure('REQUEST_INVALID', `there is no provision state ${provision_state}`);
    }
    const nodes = deps.store
      .listNodes()
      .filter((node) => provision_state === undefined || node.provision_state === provision_state)
      .filter((node) => driver === undefined || node.driver === driver)
      .map((node) => view(deps, node));
    if (detail) return { nodes };
    return { nodes: nodes.map((node) => pick(node, [...(fields?.split(',') ?? SUMMARY), 'links'])) };
  };
  app.get('/v1/nodes', async (request) => list(request, isTrue(queryOf(request)['detail'])));
  app.get('/v1/nodes/detail', async (request) => list(request, true));
}

function recordRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const { store, driver } = deps;
  app.post('/v1/nodes', { schema: { body: NewNodeSchema } }, async (request, reply) => {
    const {
      driver_info = {},
      name = null,
      description,
      resource_class,
      instance_uuid,
      ...body
    } = request.body as NewNodeBody;
    refuseConfigdrive(body.instance_info);
    const node = store.createNode({
      ...body,
      driver_info,
      name,
      description: description ?? null,
      resource_class: resource_class ?? null,
      instance_uuid: instance_uuid ?? null,
    });
    return reply.code(201).header('location', `${deps.baseUrl()}/v1/nodes/${node.uuid}`).send(view(deps, node));
  });
  app.get('/v1/nodes/:ident', async (request) => {
    const node = view(deps, store.getNode(identOf(request)));
    const { fields } = queryOf(request);
    return fields === undefined ? node : pick(node, [...fields.split(','), 'links']);
  });
  app.patch('/v1/nodes/:ident', { schema: { body: PatchSchema } }, async (request) => {
    const node = store.getNode(identOf(request));
    driver.assertFree(node.uuid);
    const before = Object.fromEntries(PATCHABLE.map((field) => [field, node[field]]));
    const after = applyPatch(before, request.body as Static<typeof PatchSchema>);
    for (const field of PATCHABLE)
      if (!Object.hasOwn(after, field))
        after[field] = typeof node[field] === 'object' && node[field] !== null ? {} : null;
    if (!Value.Check(PatchedNodeSchema, after)) {
      const problem = Value.Errors(PatchedNodeSchema, after)[0];
      throw apiFailure(
        'REQUEST_INVALID',
        `the node would not be valid: ${problem?.instancePath ?? ''} ${problem?.message ?? ''}`,
      );
    }
    refuseConfigdrive(after.instance_info);
    return view(deps, store.updateNode(node.uuid, after));
  });
  app.delete('/v1/nodes/:ident', async (request, reply) => {
    const node = store.getNode(identOf(request));
    if (!isTrue(queryOf(request)['force'])) {
      driver.assertFree(node.uuid);
      if (!DELETE_STATES.includes(node.provision_state)) {
        throw apiFailure('NODE_IN_USE', `${node.name ?? node.uuid}: it is in state "${node.provision_state}"`);
      }
    }
    store.deleteNode(node.uuid);
    return reply.code(204).send();
  });
}

function stateRoutes(app: FastifyInstance, deps: ApiDeps): void {
  const { store, driver } = deps;
  app.get('/v1/nodes/:ident/states', async (request) => {
    const node = store.getNode(identOf(request));
    const {
      provision_state,
      target_provision_state,
      provision_updated_at,
      power_state,
      target_power_state,
      last_error,
      raid_config,
      target_raid_config,
    } = node;
    return {
      provision_state,
      target_provision_state,
      provision_updated_at,
      power_state,
      target_power_state,
      last_error,
      console_enabled: false,
      raid_config,
      target_raid_config,
    };
  });
  const provision = { schema: { body: ProvisionSchema }, bodyLimit: PROVISION_LIMIT_BYTES };
  app.put('/v1/nodes/:ident/states/provision', provision, async (request, reply) => {
    const { target, configdrive, clean_steps } = request.body as Static<typeof ProvisionSchema>;
    if (configdrive !== undefined && configdrive !== null) checkConfigdrive(configdrive);
    driver.provision(identOf(request), { target, configdrive, clean_steps });
    return reply.code(202).send();
  });
  app.put('/v1/nodes/:ident/states/power', { schema: { body: PowerSchema } }, async (request, reply) => {
    driver.power(identOf(request), (request.body as Static<typeof PowerSchema>).target);
    return reply.code(202).send();
  });
  app.put('/v1/nodes/:ident/states/raid', { schema: { body: RaidSchema } }, async (request, reply) => {
    const node = store.getNode(identOf(request));
    driver.assertFree(node.uuid);
    store.updateNode(node.uuid, { target_raid_config: request.body as Static<typeof RaidSchema> });
    return reply.code(204).send();
  });
  app.get('/v1/nodes/:ident/inventory', async (request) => {
    const node = store.getNode(identOf(request));
    const inventory = store.getInventory(node.uuid);
    if (inventory === undefined)
      throw apiFailure('NOT_FOUND', `an inventory of node ${node.name ?? node.uuid}: it was not inspected`);
    return inventory;
  });
  app.get('/v1/nodes/:ident/ports', async (request) => ({
    ports: store.listPorts(store.getNode(identOf(request)).uuid).map(portView),
  }));
}

/** Ironic's node endpoints, as far as they are served here. `ident` is a uuid or a name. */
export function nodeRoutes(app: FastifyInstance, deps: ApiDeps): void {
  listRoutes(app, deps);
  recordRoutes(app, deps);
  stateRoutes(app, deps);
}
