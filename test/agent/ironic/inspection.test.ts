import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { createHttp } from '../../../agent/ironic/http.ts';
import { inspectionUrls, inspectionWaitSeconds, postInspection } from '../../../agent/ironic/inspection.ts';
import { fakeClock } from '../../fakes/clock.ts';
import { type FakeAnswer, type FakeIronic, NODE_UUID, startFakeIronic } from '../../fakes/ironic.ts';
import { TLS } from '../../fakes/agent-parts.ts';

let ironic: FakeIronic;
beforeEach(async () => {
  ironic = await startFakeIronic();
});
afterEach(() => ironic.close());

function post(urls: string[], answers: FakeAnswer[] = []) {
  let index = 0;
  ironic.override = () => answers[index++];
  const clock = fakeClock();
  const onRetry = vi.fn<(reason: string, wait: number) => void>();
  const answer = postInspection({
    urls,
    payload: { inventory: { interfaces: [] }, error: null },
    http: createHttp({ tls: TLS, timeoutMs: 2000 }),
    requestId: 'req-7',
    clock,
    onRetry,
    signal: new AbortController().signal,
  });
  return { answer, uuid: answer.then(({ uuid }) => uuid), clock, onRetry };
}

const here = (): string => `${ironic.url}/v1/continue_inspection`;

describe('the inventory', () => {
  test('is posted without a version header, and the UUID of the answer is given back', async () => {
    expect(await post([here()]).uuid).toBe(NODE_UUID);
    expect(ironic.seen).toHaveLength(1);
    expect(ironic.seen[0]).toMatchObject({
      method: 'POST',
      path: '/v1/continue_inspection',
      body: { inventory: { interfaces: [] }, error: null },
    });
    expect(ironic.seen[0]?.headers).not.toHaveProperty('x-openstack-ironic-api-version');
    expect(ironic.seen[0]?.headers['x-openstack-request-id']).toBe('req-7');
  });

  test('is posted again after 409 and 5xx, five times in all', async () => {
    const { uuid, clock } = post([here()], [{ status: 409 }, { status: 503 }, { status: 500 }]);
    expect(await uuid).toBe(NODE_UUID);
    expect(clock.sleeps.map((ms) => ms / 1000)).toEqual([5, 5, 6]);
    const again = post(
      [here()],
      Array.from({ length: 5 }, () => ({ status: 503, text: 'busy' })),
    );
    await expect(again.uuid).rejects.toMatchObject({ code: 'INSPECTION_UNREACHABLE' });
    expect(again.clock.sleeps).toHaveLength(4);
  });

  test('that is refused is not posted again', async () => {
    const { uuid, clock } = post([here()], [{ status: 404, body: { error_message: { faultstring: 'no such node' } } }]);
    await expect(uuid).rejects.toMatchObject({
      code: 'INSPECTION_REFUSED',
      message: expect.stringContaining('answered 404: no such node'),
    });
    expect(clock.sleeps).toEqual([]);
  });

  test('goes to the next URL only when one cannot be reached', async () => {
    expect(await post(['http://127.0.0.1:9/x', here()]).uuid).toBe(NODE_UUID);
    await expect(post(['http://127.0.0.1:9/x']).uuid).rejects.toMatchObject({ code: 'INSPECTION_UNREACHABLE' });
  });

  test('is posted to each URL in each try, not five times to one before the next', async () => {
    const { uuid, clock, onRetry } = post(['http://127.0.0.1:9/x', here()], [{ status: 409 }, { status: 409 }]);
    expect(await uuid).toBe(NODE_UUID);
    expect(clock.sleeps).toHaveLength(2);
    expect(onRetry.mock.calls.map(([reason]) => reason)).toEqual([
      expect.stringContaining('answered 409'),
      expect.stringContaining('answered 409'),
    ]);
  });

  test('may be answered as a lookup is, with the one token, or with what stands for it', async () => {
    const body = (token: string) => ({ node: { uuid: 'n' }, config: { agent_token: token } });
    expect(await post([here()], [{ status: 202, body: body('secret') }]).answer).toEqual({
      uuid: 'n',
      token: 'secret',
    });
    expect(await post([here()], [{ status: 202, body: body('******') }]).answer).toEqual({ uuid: 'n' });
  });

  test('that is taken without a UUID gives none', async () => {
    expect(await post([here()], [{ status: 202, text: '' }]).uuid).toBeUndefined();
    expect(await post([here()], [{ status: 200, body: { node: { uuid: 'n' } } }]).uuid).toBe('n');
  });
});

test('waits are 1.5 times 2^(n - 1), not below 5 and not above 30 seconds', () => {
  expect([1, 2, 3, 4, 5, 6, 9].map(inspectionWaitSeconds)).toEqual([5, 5, 6, 12, 24, 30, 30]);
});

test('without callback URLs the APIs take inventories', () => {
  expect(inspectionUrls([], ['http://a:6385'])).toEqual(['http://a:6385/v1/continue_inspection']);
  expect(inspectionUrls(['http://b/x'], ['http://a'])).toEqual(['http://b/x']);
});
