import { afterEach, describe, expect, test, vi } from 'vitest';

import { createIronicClient } from '../../../agent/ironic/client.ts';
import { createHttp } from '../../../agent/ironic/http.ts';
import { chooseToken, lookupNode, readLookup } from '../../../agent/ironic/lookup.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type FakeAnswer, type FakeIronic, NODE_UUID, startFakeIronic, TOKEN } from '../../fakes/ironic.ts';
import { TLS } from '../../fakes/agent-parts.ts';

let ironic: FakeIronic | undefined;
afterEach(async () => {
  await ironic?.close();
  ironic = undefined;
});

async function lookup(answers: FakeAnswer[], options: { random?: number; timeoutSeconds?: number } = {}) {
  ironic = await startFakeIronic();
  let index = 0;
  ironic.override = ({ path }) => (path === '/v1/lookup' ? answers[index++] : undefined);
  const clock = fakeClock();
  const onRetry = vi.fn<(error: unknown, wait: number) => void>();
  const http = createHttp({ tls: TLS, timeoutMs: 2000 });
  const found = lookupNode({
    ironic: createIronicClient({ urls: [ironic.url], http }),
    addresses: async () => ['52:54:00:00:00:01'],
    nodeUuid: undefined,
    timeoutSeconds: options.timeoutSeconds ?? 600,
    intervalSeconds: 1,
    clock,
    random: () => options.random ?? 1,
    onRetry,
    signal: new AbortController().signal,
  });
  return { found, clock, onRetry };
}

const notFound = { status: 404, body: { faultstring: 'Not found.' } };

describe('lookup', () => {
  test('is asked again with growing waits up to a minute, until the node is there', async () => {
    const { found, clock } = await lookup(Array.from({ length: 8 }, () => notFound));
    expect((await found).node.uuid).toBe(NODE_UUID);
    expect(clock.sleeps.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test('waits at least the interval', async () => {
    const { found, clock } = await lookup(
      Array.from({ length: 4 }, () => notFound),
      { random: 0 },
    );
    await found;
    expect(clock.sleeps).toEqual([1000, 1000, 1000, 1000]);
  });

  test('waits longer for a locked node', async () => {
    const { found, clock } = await lookup(
      Array.from({ length: 4 }, () => ({ status: 409 })),
      { random: 0 },
    );
    await found;
    expect(clock.sleeps.map((ms) => ms / 1000)).toEqual([6, 11, 31, 31]);
  });

  test.each<[string, FakeAnswer]>([
    ['no JSON', { status: 200, text: '<html>' }],
    ['no node', { status: 200, body: { config: { heartbeat_timeout: 300 } } }],
    ['a node without uuid', { status: 200, body: { node: {}, config: { heartbeat_timeout: 300 } } }],
    ['null', { status: 200, text: 'null' }],
    ['a server error', { status: 500, text: 'Traceback' }],
  ])('tries again after %s', async (_name, answer) => {
    const { found, onRetry } = await lookup([answer]);
    expect((await found).node.uuid).toBe(NODE_UUID);
    expect(onRetry).toHaveBeenCalledTimes(1);
  });

  test('ends after the time-out, with MACs and the last answer', async () => {
    const { found } = await lookup(
      Array.from({ length: 50 }, () => notFound),
      { timeoutSeconds: 120 },
    );
    await expect(found).rejects.toThrow(
      /^cannot find this machine's node in Ironic: \d+ tries in \d+ s with MACs 52:54:00:00:00:01, the last one: .*404: Not found\.$/,
    );
  });
});

test('very old servers say heartbeat_timeout at the top', () => {
  expect(readLookup({ node: { uuid: 'x' }, heartbeat_timeout: 60 }).config.heartbeat_timeout).toBe(60);
  expect(readLookup({ node: { uuid: 'x' }, config: { heartbeat_timeout: 60, agent_token: null } }).config).toEqual({
    heartbeat_timeout: 60,
  });
});

describe('the token', () => {
  test('of the lookup wins; a short one is none; a masked one keeps what there is', () => {
    expect(chooseToken('old', TOKEN)).toBe(TOKEN);
    expect(chooseToken('old', 'short')).toBe('old');
    expect(chooseToken(undefined, 'short')).toBeUndefined();
    expect(chooseToken('old', '******')).toBe('old');
    expect(chooseToken('old', undefined)).toBe('old');
  });

  test('that was given to somebody else locks the agent', () => {
    expect(() => chooseToken(undefined, '******')).toThrow('cannot get an agent token');
  });
});
