import { basename, dirname } from 'node:path';

import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

import { RAMDISK_FILES } from '../drive/boot-script.ts';
import type { ApiDeps } from './deps.ts';
import { apiFailure } from './errors.ts';

/**
 * What booting machines fetch: boot scripts, the ramdisk, and under `/images/` the files of --http-root, streamed, with Range
 * and If-Range so that a broken transfer goes on where it stopped.
 */
export async function bootRoutes(app: FastifyInstance, deps: ApiDeps): Promise<void> {
  const { driver, files } = deps;
  await app.register(fastifyStatic, {
    // Without a folder to serve, the plug-in is only what sends the ramdisk's two files.
    root: files.httpRoot ?? '/',
    prefix: '/images/',
    serve: files.httpRoot !== undefined,
    dotfiles: 'ignore',
    index: false,
    cacheControl: false,
  });
  app.get('/boot/ipxe/:mac', async (request, reply) =>
    reply.type('text/plain; charset=utf-8').send(driver.bootScript((request.params as { mac: string }).mac)),
  );
  const parts = { [RAMDISK_FILES.kernel]: files.kernel, [RAMDISK_FILES.initramfs]: files.initramfs };
  for (const [name, path] of Object.entries(parts)) {
    app.get(`/boot/${name}`, async (_request, reply) => {
      if (path === undefined) throw apiFailure('NOT_FOUND', `${name}: the conductor was started without a ramdisk`);
      return reply.type('application/octet-stream').sendFile(basename(path), dirname(path));
    });
  }
}
