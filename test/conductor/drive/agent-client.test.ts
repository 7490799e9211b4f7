import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { createCertificate } from '../../../agent/ironic/certificate.ts';
import { commandErrorText, connectAgent } from '../../../conductor/drive/agent-client.ts';
import { quickClock } from '../../fakes/running-conductor.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const certificateFor = (host: string) =>
  createCertificate({ host, commonName: 'agent', curve: 'p384', times: [Date.now()] });
type Answer = (method: string, url: string) => { status: number; body: string } | undefined;

/** @param answer undefined breaks the connection */
async function serve(
  answer: Answer,
  own = certificateFor('127.0.0.1'),
): Promise<{ url: string; certificate: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer({ cert: own.certificate, key: own.key }, (request, response) => {
    request.resume();
    requests.push(`${request.method} ${request.url}`);
    const given = answer(request.method ?? '', request.url ?? '');
    if (given === undefined) request.socket.destroy();
    else response.writeHead(given.status, { 'content-type': 'application/json' }).end(given.body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, certificate: own.certificate, requests };
}

const running = {
  id: '1',
  command_name: 'execute_clean_step',
  command_status: 'RUNNING',
  command_error: null,
  command_result: null,
};
const json = (status: number, body: unknown) => ({ status, body: JSON.stringify(body) });

describe('the connection', () => {
  test('is made to the certificate that the heartbeat brought, with the token in the query', async () => {
    const agent = await serve(() => json(200, { commands: [running] }));
    const client = connectAgent({ ...agent, token: 't ken' }, quickClock);
    expect(await client.listCommands()).toEqual([running]);
    expect(agent.requests).toEqual(['GET /v1/commands/?agent_token=t%20ken']);
    await client.close();
  });

  test('is refused to another certificate, and the token is not sent', async () => {
    const agent = await serve(() => json(200, { commands: [] }));
    const client = connectAgent(
      { url: agent.url, token: 't', certificate: certificateFor('127.0.0.1').certificate },
      quickClock,
    );
    await expect(client.listCommands()).rejects.toMatchObject({ code: 'AGENT_CERTIFICATE' });
    expect(agent.requests).toEqual([]);
    await client.close();
  });

  test('is refused to a certificate that is made for another address', async () => {
    const agent = await serve(() => json(200, { commands: [] }), certificateFor('192.0.2.1'));
    const client = connectAgent({ ...agent, token: 't' }, quickClock);
    await expect(client.listCommands()).rejects.toMatchObject({ code: 'AGENT_CERTIFICATE' });
    await client.close();
  });

  test('that is refused is tried three times, and the token is not in the reason', async () => {
    const client = connectAgent({ url: 'https://127.0.0.1:9', token: 'geheim', certificate: undefined }, quickClock);
    await expect(client.listCommands()).rejects.toMatchObject({
      code: 'AGENT_UNREACHABLE',
      message: expect.not.stringContaining('geheim') as string,
    });
    await client.close();
  });
});

describe('commands', () => {
  const executing = (answer: Answer) => async () => {
    const agent = await serve(answer);
    const client = connectAgent({ ...agent, token: 't' }, quickClock);
    try {
      return await client.execute('clean.execute_clean_step', {}, { wait: false });
    } finally {
      await client.close();
    }
  };

  test('409 is the busy agent', async () => {
    await expect(
      executing(() => json(409, { faultcode: 'Client', faultstring: 'Agent is busy: executing command x' }))(),
    ).rejects.toMatchObject({
      code: 'AGENT_BUSY',
      message: expect.stringContaining('Agent is busy: executing command x') as string,
    });
  });

  test("any other refusal carries the agent's words", async () => {
    await expect(
      executing(() => json(400, { faultcode: 'Client', faultstring: 'Invalid command: Unknown command: x' }))(),
    ).rejects.toMatchObject({
      code: 'AGENT_REFUSED',
      message: expect.stringContaining('Unknown command: x') as string,
    });
  });

  test('an answer that got lost counts when the command runs', async () => {
    const answer: Answer = (method) => (method === 'POST' ? undefined : json(200, { commands: [running] }));
    expect(await executing(answer)()).toEqual(running);
  });

  test('an answer that got lost fails when another command was the last', async () => {
    const answer: Answer = (method) =>
      method === 'POST' ? undefined : json(200, { commands: [{ ...running, command_name: 'sync' }] });
    await expect(executing(answer)()).rejects.toMatchObject({ code: 'AGENT_UNREACHABLE' });
  });

  test.each(['', 'null', '[]', '{}', '{"commands": 1}', '<html>'])(
    'an answer of another form is told of: %s',
    async (body) => {
      await expect(executing(() => ({ status: 200, body }))()).rejects.toMatchObject({ code: 'AGENT_ANSWER' });
    },
  );

  test('the reason of a failed command is told whatever its form', () => {
    const text = (command_error: unknown) => commandErrorText({ command_error } as never);
    expect(text({ message: 'Error writing image', details: 'no space' })).toBe('Error writing image: no space');
    expect(text({ error: 'boom' })).toBe('boom');
    expect(text(null)).toBe('the agent gave no reason');
  });
});
