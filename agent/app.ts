import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';

import { faultOf, httpFault } from './routes/faults.ts';
import { addRoutes, LONGEST_BODY, type RoutesOptions } from './routes/routes.ts';

/** Routes check what comes in with TypeBox; without this, Fastify loads its compilers of schemas at every start, and never uses them. */
const noSchemas = (): never => {
  throw new Error('a route of the agent has no schema of Fastify');
};

export type AppOptions = RoutesOptions & {
  /** PEM texts; without it the API is plain HTTP. */
  tls?: { certificate: string; key: string; minVersion: 'TLSv1.2' | 'TLSv1.3'; ciphers?: string };
};

/** The agent's HTTP server, not yet listening. */
export function createApp(options: AppOptions): FastifyInstance {
  const { certificate, key, ...limits } = options.tls ?? {};
  const https = options.tls === undefined ? null : { cert: certificate, key, ...limits };
  const app = Fastify({
    https,
    bodyLimit: LONGEST_BODY,
    // Time for a whole request to come in; the answer may take as long as its command.
    requestTimeout: 120_000,
    forceCloseConnections: true,
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    exposeHeadRoutes: true,
    frameworkErrors: (error, _request, reply) => {
      const { status, body } = faultOf(error);
      void (reply as FastifyReply).code(status).send(body);
    },
    clientErrorHandler: (_error, socket) => {
      if (!socket.writable) return;
      const body = JSON.stringify(httpFault(400, 'the request is not HTTP').body);
      const head = `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
      socket.end(`${head}Connection: close\r\n\r\n${body}`);
    },
  }) as unknown as FastifyInstance;
  addRoutes(app, options);
  return app;
}
