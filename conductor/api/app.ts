import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';

import { bootRoutes } from './boot-routes.ts';
import type { ApiDeps } from './deps.ts';
import { errorBody, handleError } from './errors.ts';
import { nodeRoutes } from './node-routes.ts';
import { portRoutes } from './port-routes.ts';
import { ramdiskRoutes } from './ramdisk-routes.ts';
import { negotiateVersion, rootDocument, v1Document } from './version.ts';

const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/**
 * The conductor's HTTP: Ironic's REST API as far as it is served, the ramdisk's endpoints, boot scripts and images.
 * @param logger pino's interface; false is silence
 */
export async function buildApi(deps: ApiDeps, logger: FastifyBaseLogger | false): Promise<FastifyInstance> {
  const app = Fastify({
    ...(logger === false ? { logger: false } : { loggerInstance: logger }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 255 },
    // Fastify's own defaults turn "1" into 1 and drop unknown keys: here both are mistakes to be told of.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  });
  app.setErrorHandler(handleError);
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(errorBody(404, `cannot find ${request.method} ${request.url.split('?')[0]}`, 'NOT_FOUND', undefined)),
  );
  // Agents and clients may name the content type of a request that has no body.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    if (text === '') return done(null, undefined);
    return app.getDefaultJsonParser('error', 'error')(_request, text as string, done);
  });
  app.addHook('onRequest', negotiateVersion);
  app.get('/', async () => rootDocument(deps.baseUrl()));
  app.get('/v1', async () => v1Document(deps.baseUrl()));
  app.get('/ingot/v1/info', async () => ({
    http_root: deps.files.httpRoot ?? null,
    public_url: deps.settings.publicUrl,
  }));
  ramdiskRoutes(app, deps);
  nodeRoutes(app, deps);
  portRoutes(app, deps);
  await bootRoutes(app, deps);
  return app;
}
