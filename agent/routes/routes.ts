import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { Value } from 'typebox/value';

import { type CommandRequest, CommandRequestSchema } from '../api/command.ts';
import type { Runner } from '../engine/runner.ts';
import { describeRoot, describeVersion } from './describe.ts';
import { faultOf, HttpFault, httpFault } from './faults.ts';

export type RoutesOptions = {
  runner: Runner;
  /** The token of this boot; while there is none, every command call is refused. */
  token: () => string | undefined;
  /** Seconds since the epoch. */
  startedAt: number;
  version: string;
  /** One line for each request, without secrets. */
  log: (line: string) => void;
  /** Called when an answer has gone out. */
  onAnswer?: () => void;
};

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;
type Route = { path: string; methods: Partial<Record<'GET' | 'POST', Handler>> };

/** Ironic's tokens have 43 characters, and agents take none of fewer than 32. */
const SHORTEST_TOKEN = 32;
/** An address with its zone. */
const LONGEST_CLIENT = 64;
/** Longest body that is read before its sender has shown the token. */
const LONGEST_UNTRUSTED_BODY = 1024 ** 2;
/** A command may carry a config drive: 64 MiB, in base64 and JSON. */
export const LONGEST_BODY = 96 * 1024 ** 2;

/** First value of a query parameter. */
function query(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return Array.isArray(value) ? value[0] : value;
}

const wantsWait = (request: FastifyRequest): boolean => query(request, 'wait')?.toLowerCase() === 'true';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function isToken(token: string | undefined, given: string | undefined): boolean {
  return token !== undefined && given !== undefined && timingSafeEqual(digest(token), digest(given));
}

function readCommand(body: unknown): CommandRequest {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.isBuffer(body) ? body.toString('utf8') : '');
  } catch (error) {
    throw new HttpFault(400, `Failed to decode JSON object: ${(error as Error).message.replace(/".*$/s, '').trim()}`);
  }
  if (!Value.Check(CommandRequestSchema, value)) throw new HttpFault(400, 'Missing or invalid name or params');
  return value;
}

/** Who asks, for the log: what a proxy says of it, else the other end of the connection. */
function clientOf(request: FastifyRequest): string {
  const { 'x-forwarded-for': forwarded, 'x-real-ip': real } = request.headers;
  const named = [forwarded, real].flat().find((value) => value !== undefined && value.trim() !== '');
  return (named?.split(',')[0] ?? request.ip).trim().slice(0, LONGEST_CLIENT);
}

/** The token never reaches a log, in any spelling that a query string allows. */
export function withoutToken(url: string): string {
  const [path = '', search] = url.split('?', 2);
  if (search === undefined) return url;
  const kept = search.split('&').map((pair) => {
    let name: string;
    try {
      name = decodeURIComponent((pair.split('=', 1)[0] ?? '').replaceAll('+', ' '));
    } catch {
      name = '';
    }
    if (name === 'wait' && /=(true|false)$/i.test(pair)) return pair;
    return name.length < SHORTEST_TOKEN ? `${pair.split('=', 1)[0]}=***` : '***';
  });
  return `${path}?${kept.join('&')}`;
}

function table(options: RoutesOptions): Route[] {
  const { runner } = options;
  const base = (request: FastifyRequest): string => `${request.protocol}://${request.host}`;
  const authorize = (request: FastifyRequest): void => {
    if (!isToken(options.token(), query(request, 'agent_token'))) throw new HttpFault(401, 'Token invalid.');
  };
  const status: Handler = () => ({ started_at: options.startedAt, version: options.version });
  const list: Handler = (request) => {
    authorize(request);
    return { commands: runner.history() };
  };
  const one: Handler = (request) => {
    authorize(request);
    return runner.get((request.params as { id: string }).id, wantsWait(request));
  };
  const execute: Handler = (request) => {
    const { name, params } = readCommand(request.body);
    authorize(request);
    return runner.execute(name, params, wantsWait(request));
  };
  return [
    { path: '/', methods: { GET: (request) => describeRoot(base(request)) } },
    { path: '/v1/', methods: { GET: (request) => describeVersion(base(request)) } },
    { path: '/v1/status', methods: { GET: status } },
    { path: '/status', methods: { GET: status } },
    { path: '/v1/commands/', methods: { GET: list, POST: execute } },
    { path: '/commands/', methods: { GET: list, POST: execute } },
    { path: '/v1/commands/:id', methods: { GET: one } },
    { path: '/commands/:id', methods: { GET: one } },
  ];
}

/** Without its last slash, such a path is answered with the way to it. */
const SLASHED = ['/v1/', '/v1/commands/', '/commands/'];

function redirect(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const at = request.url.indexOf('?');
  const [path, search] = at < 0 ? [request.url, ''] : [request.url.slice(0, at), request.url.slice(at)];
  return reply.redirect(`${request.protocol}://${request.host}${path}/${search}`, 308);
}

function addRoute(app: FastifyInstance, route: Route): void {
  const methods = Object.keys(route.methods) as ('GET' | 'POST')[];
  const allowed = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  for (const method of methods) app.route({ method, url: route.path, handler: route.methods[method] as never });
  if (SLASHED.includes(route.path)) {
    const url = route.path.slice(0, -1);
    app.route({ method: [...methods], url, handler: redirect });
  }
  const others = (['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] satisfies HTTPMethods[]).filter(
    (method) => !allowed.includes(method),
  );
  const urls = SLASHED.includes(route.path) ? [route.path, route.path.slice(0, -1)] : [route.path];
  for (const url of urls) {
    app.route({
      method: others,
      url,
      handler: (_request, reply) => {
        const { status, body } = httpFault(405, 'The method is not allowed for the requested URL.');
        return reply.code(status).header('Allow', allowed.join(', ')).send(body);
      },
    });
  }
}

/** Puts IPA's API onto a Fastify instance. */
export function addRoutes(app: FastifyInstance, options: RoutesOptions): void {
  // Clients do not always say what they send, and some say something else: it is JSON whatever the header says.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  // The address is asked for at the start: a connection that is closed by the time of the answer has none any more.
  const clients = new WeakMap<FastifyRequest, string>();
  app.addHook('onRequest', (request, _reply, done) => {
    clients.set(request, clientOf(request));
    request.raw.headers['content-type'] = 'application/json';
    const length = Number(request.headers['content-length'] ?? (request.headers['transfer-encoding'] ? Infinity : 0));
    const trusted = length <= LONGEST_UNTRUSTED_BODY || isToken(options.token(), query(request, 'agent_token'));
    done(trusted ? undefined : new HttpFault(401, 'Token invalid.'));
  });
  app.addHook('onResponse', (request, reply, done) => {
    const took = `${Math.round(reply.elapsedTime)}ms`;
    options.log(
      `${clients.get(request) ?? '-'} - ${request.method} ${withoutToken(request.url)} - ${reply.statusCode} (${took})`,
    );
    options.onAnswer?.();
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const { status, body } = faultOf(error);
    if (status >= 500) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      options.log(`cannot serve ${request.method} ${withoutToken(request.url)}: ${text}`);
    }
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((_request, reply) => {
    const { status, body } = httpFault(404, 'The requested URL was not found on the server.');
    return reply.code(status).send(body);
  });
  for (const route of table(options)) addRoute(app, route);
}
