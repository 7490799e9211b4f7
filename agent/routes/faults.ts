import type { FastifyError } from 'fastify';
import type { Static } from 'typebox';

import type { FaultSchema } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { redact } from '../../system/redact.ts';

type Fault = Static<typeof FaultSchema>;
export type FaultAnswer = { status: number; body: Fault };

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Request Entity Too Large',
  414: 'Request URI Too Long',
  415: 'Unsupported Media Type',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
};

/** An HTTP error as such: `404 Not Found: …`. */
export function httpFault(status: number, why: string): FaultAnswer {
  return {
    status,
    body: {
      faultcode: status < 500 ? 'Client' : 'Server',
      faultstring: `${status} ${REASONS[status] ?? 'Error'}: ${why}`,
    },
  };
}

/** An HTTP error that a handler throws. */
export class HttpFault extends Error {
  readonly status: number;
  constructor(status: number, why: string) {
    super(why);
    this.status = status;
  }
}

/** Anything thrown while a request was served, as its answer. What is not ours shows no inner words, and no stack ever. */
export function faultOf(error: unknown): FaultAnswer {
  if (error instanceof AgentError) {
    return {
      status: error.code,
      body: { faultcode: error.code < 500 ? 'Client' : 'Server', faultstring: redact(error.message) },
    };
  }
  if (error instanceof HttpFault) return httpFault(error.status, error.message);
  const { statusCode, message } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return httpFault(statusCode, message ?? '');
  return httpFault(500, 'the agent failed to serve this request; its log says why');
}
