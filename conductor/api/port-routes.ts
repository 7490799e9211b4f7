import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';

import { portView } from '../store/view.ts';
import type { ApiDeps } from './deps.ts';
import { NewPortSchema } from './bodies.ts';

/** Ironic's port endpoints: the NICs of nodes, by their MAC addresses. */
export function portRoutes(app: FastifyInstance, { store, driver }: ApiDeps): void {
  app.get('/v1/ports', async (request) => {
    const { node, node_uuid, address } = request.query as Record<string, string | undefined>;
    const ident = node_uuid ?? node;
    const ports = store.listPorts(ident === undefined ? undefined : store.getNode(ident).uuid);
    return {
      ports: ports.filter((port) => address === undefined || port.address === address.toLowerCase()).map(portView),
    };
  });
  app.get('/v1/ports/detail', async () => ({ ports: store.listPorts().map(portView) }));
  app.post('/v1/ports', { schema: { body: NewPortSchema } }, async (request, reply) => {
    const { address, ...body } = request.body as Static<typeof NewPortSchema>;
    driver.assertFree(store.getNode(body.node_uuid).uuid);
    return reply.code(201).send(portView(store.createPort({ ...body, address: address.replaceAll('-', ':') })));
  });
  app.get('/v1/ports/:ident', async (request) => portView(store.getPort((request.params as { ident: string }).ident)));
  app.delete('/v1/ports/:ident', async (request, reply) => {
    const port = store.getPort((request.params as { ident: string }).ident);
    driver.assertFree(port.node_uuid);
    store.deletePort(port.uuid);
    return reply.code(204).send();
  });
}
