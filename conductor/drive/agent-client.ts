import { Type } from 'typebox';
import { Agent, request } from 'undici';

import type { CommandResult } from '../../agent/api/command.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import type { Clock } from '../os/door.ts';
import type { JsonObject } from '../store/node.ts';
import { driveFailure } from './failures.ts';
import { matches } from './schema.ts';

/** Where an agent listens, and what proves that it is that agent: all from its heartbeat and lookup. */
export type AgentAddress = { url: string; token: string; certificate: string | undefined };

export type AgentClient = {
  /** Oldest first. */
  listCommands: (options?: {
    timeoutMs?: number;
    attempts?: number;
    signal?: AbortSignal | undefined;
  }) => Promise<CommandResult[]>;
  /**
   * @param wait true: the answer is the finished command; false: it runs on in the agent
   * @throws Failure AGENT_BUSY while another command runs, AGENT_REFUSED with the agent's reason, AGENT_UNREACHABLE
   */
  execute: (
    name: string,
    params: JsonObject,
    options: { wait: boolean; signal?: AbortSignal | undefined },
  ) => Promise<CommandResult>;
  close: () => Promise<void>;
};

export type ConnectAgent = (address: AgentAddress, clock: Clock) => AgentClient;

/** Looser than what our own agent promises: a stock ironic-python-agent is understood as well. */
const ResultSchema = Type.Object({ id: Type.String(), command_name: Type.String(), command_status: Type.String() });
const ResultListSchema = Type.Object({ commands: Type.Array(ResultSchema) });

/** Ironic's own figures (`[agent]command_timeout`, `max_command_attempts`): IPA's sync commands are made to fit. */
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;
const RETRY_PAUSE_MS = 2000;
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/;

function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return typeof code === 'string' ? code : cause === undefined ? '' : codeOf(cause);
}

type Answer = { status: number; body: unknown };
type Sent = {
  method: 'GET' | 'POST';
  query: string;
  body?: JsonObject;
  timeoutMs: number;
  signal?: AbortSignal | undefined;
};

/** Undici's error texts may hold the whole URL; the token must not get into `last_error`. */
function withoutToken(text: string): string {
  return text.replaceAll(/agent_token=[^&\s"']+/g, 'agent_token=******');
}

function faultOf(body: unknown): string {
  const fault = (body as { faultstring?: unknown } | null)?.faultstring;
  return typeof fault === 'string' ? fault : 'it gave no reason';
}

async function sendOnce(address: AgentAddress, dispatcher: Agent, sent: Sent): Promise<Answer> {
  const response = await request(
    `${address.url}/v1/commands/?${sent.query}agent_token=${encodeURIComponent(address.token)}`,
    {
      method: sent.method,
      dispatcher,
      headersTimeout: sent.timeoutMs,
      bodyTimeout: sent.timeoutMs,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(sent.body !== undefined && { body: JSON.stringify(sent.body) }),
      ...(sent.signal && { signal: sent.signal }),
    },
  );
  const text = await response.body.text();
  try {
    return { status: response.statusCode, body: JSON.parse(text) };
  } catch {
    return { status: response.statusCode, body: null };
  }
}

function connectionFailure(address: AgentAddress, error: unknown): Failure {
  const code = codeOf(error);
  const why = withoutToken(reasonOf(error)) || code;
  return driveFailure(CERTIFICATE.test(code) ? 'AGENT_CERTIFICATE' : 'AGENT_UNREACHABLE', `${address.url}: ${why}`);
}

/**
 * The agent's API over HTTPS. The server must show the certificate that came with the heartbeat, or one that it signed, and the
 * address must be in it (Node checks the subject alternative names).
 */
export const connectAgent: ConnectAgent = (address, clock) => {
  const dispatcher = new Agent({
    connect: { timeout: 15_000, ...(address.certificate !== undefined && { ca: address.certificate }) },
  });

  const send = async (sent: Sent, attempts: number): Promise<Answer> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await sendOnce(address, dispatcher, sent);
      } catch (error) {
        sent.signal?.throwIfAborted();
        // A command whose answer got lost may be running: the caller looks before it is sent again.
        const mayRepeat = sent.method === 'GET' || ['ECONNREFUSED', 'UND_ERR_CONNECT_TIMEOUT'].includes(codeOf(error));
        if (!mayRepeat || attempt >= attempts) throw connectionFailure(address, error);
        await clock.sleep(RETRY_PAUSE_MS, sent.signal);
      }
    }
  };

  const listCommands: AgentClient['listCommands'] = async ({
    timeoutMs = TIMEOUT_MS,
    attempts = ATTEMPTS,
    signal,
  } = {}) => {
    const { status, body } = await send({ method: 'GET', query: '', timeoutMs, signal }, attempts);
    if (status >= 400)
      throw driveFailure('AGENT_REFUSED', `the agent's command list: HTTP ${status}: ${faultOf(body)}`);
    if (!matches(ResultListSchema, body)) throw driveFailure('AGENT_ANSWER', 'its command list has another form');
    return body.commands as unknown as CommandResult[];
  };

  /** A POST without an answer counts as taken when the agent says that this command is the one that runs. */
  const afterLostAnswer = async (
    name: string,
    failure: unknown,
    signal: AbortSignal | undefined,
  ): Promise<CommandResult> => {
    const last = await listCommands({ signal }).then(
      (commands) => commands.at(-1),
      () => undefined,
    );
    if (last?.command_name === name.split('.')[1] && last?.command_status === 'RUNNING') return last;
    throw failure;
  };

  return {
    listCommands,
    execute: async (name, params, { wait, signal }) => {
      const sent: Sent = {
        method: 'POST',
        query: `wait=${wait}&`,
        body: { name, params },
        timeoutMs: TIMEOUT_MS,
        signal,
      };
      let answer: Answer;
      try {
        answer = await send(sent, ATTEMPTS);
      } catch (error) {
        signal?.throwIfAborted();
        return afterLostAnswer(name, error, signal);
      }
      if (answer.status === 409) throw driveFailure('AGENT_BUSY', faultOf(answer.body));
      if (answer.status >= 400) {
        throw driveFailure(
          'AGENT_REFUSED',
          `${name}: the agent answers HTTP ${answer.status}: ${faultOf(answer.body)}`,
        );
      }
      if (!matches(ResultSchema, answer.body))
        throw driveFailure('AGENT_ANSWER', `its answer to ${name} has another form`);
      return answer.body as unknown as CommandResult;
    },
    close: () => dispatcher.close(),
  };
};

/** What went wrong in a command: Ironic shows the details, else the message; both together say more. */
export function commandErrorText(result: CommandResult): string {
  const error = result.command_error as { message?: unknown; details?: unknown; error?: unknown } | null | undefined;
  const texts = [error?.message, error?.details, error?.error].filter(
    (text) => typeof text === 'string' && text !== '',
  );
  return texts.length > 0 ? texts.join(': ') : 'the agent gave no reason';
}
