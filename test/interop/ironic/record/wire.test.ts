import { expect, test } from 'vitest';

import { type Exchange, meaningfulHeaders, parseBody, withoutSecrets } from './wire.ts';

const exchange = (given: Partial<Exchange>): Exchange => ({
  at: 0,
  from: 'agent',
  method: 'POST',
  path: '/',
  requestHeaders: {},
  requestBody: null,
  status: 200,
  responseBody: null,
  ...given,
});

test('a token is replaced everywhere, also in a path that came before the answer that names it', () => {
  const token = 'a-token-of-the-usual-kind-with-43-characters';
  const [command, lookup] = withoutSecrets([
    exchange({ from: 'conductor', path: `/v1/commands/?wait=true&agent_token=${token}` }),
    exchange({ responseBody: { config: { agent_token: token } } }),
  ]);
  expect(command?.path).toBe('/v1/commands/?wait=true&agent_token=<AGENT_TOKEN_1>');
  expect(lookup?.responseBody).toEqual({ config: { agent_token: '<AGENT_TOKEN_1>' } });
});

test('another token is another placeholder, and the mask of Ironic stays a mask', () => {
  const [first, second, masked] = withoutSecrets(
    ['one-token-one-token', 'two-token-two-token', '******'].map((agent_token) =>
      exchange({ requestBody: { agent_token } }),
    ),
  );
  expect(first?.requestBody).toEqual({ agent_token: '<AGENT_TOKEN_1>' });
  expect(second?.requestBody).toEqual({ agent_token: '<AGENT_TOKEN_2>' });
  expect(masked?.requestBody).toEqual({ agent_token: '******' });
});

test('config drives, password hashes, certificates and log archives are replaced, wherever they stand', () => {
  const [one] = withoutSecrets([
    exchange({
      requestBody: {
        params: { step: { args: { configdrive: 'H4sIAA==' } }, rescue_password: '$6$salt$hash' },
        agent_verify_ca: '-----BEGIN CERTIFICATE-----',
      },
      responseBody: { command_result: { system_logs: 'H4sILOGS' }, list: [{ logs: 'H4sIMORE' }] },
    }),
  ]);
  expect(one?.requestBody).toEqual({
    params: { step: { args: { configdrive: '<CONFIG_DRIVE_1>' } }, rescue_password: '<RESCUE_PASSWORD_1>' },
    agent_verify_ca: '<CERTIFICATE_1>',
  });
  expect(one?.responseBody).toEqual({ command_result: { system_logs: '<LOGS_1>' }, list: [{ logs: '<LOGS_2>' }] });
});

test('bodies are JSON, text or nothing, and of headers only those of the protocol stay', () => {
  expect([parseBody(''), parseBody('{"a": 1}'), parseBody('oops')]).toEqual([null, { a: 1 }, 'oops']);
  expect(meaningfulHeaders({ host: 'x', accept: 'application/json', 'content-type': 'application/json' })).toEqual({
    accept: 'application/json',
    'content-type': 'application/json',
  });
});
