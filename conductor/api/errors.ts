import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

import { defineFailures, Failure } from '../../system/failure.ts';

export const apiFailure = defineFailures({
  REQUEST_INVALID: { message: (detail) => `cannot use the request: ${detail}` },
  NOT_FOUND: { message: (detail) => `cannot find ${detail}` },
  VERSION_UNSUPPORTED: { message: (detail) => `cannot speak API version ${detail}` },
  NODE_IN_USE: {
    message: (detail) => `cannot remove node ${detail}`,
    hint: 'ingot node undeploy it first, wait for its flow, or remove the record alone with --force: the machine stays as it is',
  },
});

/** HTTP status of a failure; what is not here is this conductor's own fault. They are Ironic's for the same cases. */
const STATUS: Record<string, number> = {
  NODE_NOT_FOUND: 404,
  PORT_NOT_FOUND: 404,
  LOOKUP_NOT_FOUND: 404,
  NOT_FOUND: 404,
  VERSION_UNSUPPORTED: 406,
  NODE_LOCKED: 409,
  NODE_IN_USE: 409,
  NAME_TAKEN: 409,
  UUID_TAKEN: 409,
  ADDRESS_TAKEN: 409,
  POWER_REQUEST: 409,
  STATE_REFUSES: 400,
  REQUEST_INVALID: 400,
  DEPLOY_REQUEST: 400,
  CLEAN_REQUEST: 400,
  CONFIGDRIVE: 400,
  LOOKUP_REQUEST: 400,
  HEARTBEAT_REFUSED: 400,
  BMC_UNCONFIGURED: 400,
};

/** Ironic's error body: JSON in a JSON string. `code` and `hint` are extra, for our own command line. */
export function errorBody(status: number, message: string, code: string, hint: string | undefined) {
  const fault = { faultcode: status < 500 ? 'Client' : 'Server', faultstring: message, debuginfo: null };
  return { error_message: JSON.stringify(fault), code, hint: hint ?? null };
}

/** Turns whatever a route threw into Ironic's form; internals stay in the log. */
export function handleError(
  error: FastifyError | Failure | Error,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof Failure) {
    const status = STATUS[error.code] ?? 500;
    if (status >= 500) request.log.error({ why: error.message }, 'request failed');
    return reply.code(status).send(errorBody(status, error.message, error.code, error.hint));
  }
  const { statusCode, code } = error as FastifyError;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const message = `cannot use the request: ${error.message}`;
    return reply.code(statusCode).send(errorBody(statusCode, message, code ?? 'REQUEST_INVALID', undefined));
  }
  request.log.error({ why: error.stack ?? error.message }, 'internal error');
  return reply
    .code(500)
    .send(errorBody(500, 'cannot answer: internal error, see the log of the conductor', 'INTERNAL', undefined));
}
