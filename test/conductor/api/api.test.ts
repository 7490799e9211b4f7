import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { startTestConductor, type TestConductor } from '../../fakes/running-conductor.ts';

let conductor: TestConductor;
let httpRoot: string;
const IMAGE = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
const DRIVER_INFO = {
  redfish_address: 'http://127.0.0.1:9',
  redfish_system_id: '/redfish/v1/Systems/1',
  redfish_password: 's3cret',
};

beforeAll(async () => {
  httpRoot = await mkdtemp(join(tmpdir(), 'ingot-images-'));
  writeFileSync(join(httpRoot, 'disk.raw'), IMAGE);
  writeFileSync(join(httpRoot, '.hidden'), 'secret');
  conductor = await startTestConductor({ httpRoot });
  const { body } = await conductor.call('POST', '/v1/nodes', {
    name: 'n1',
    driver: 'redfish',
    driver_info: DRIVER_INFO,
    properties: { a: { b: [1, 2] } },
  });
  await conductor.call('POST', '/v1/ports', { node_uuid: body.uuid, address: '52-54-00-00-00-01' });
});
afterAll(async () => {
  await conductor.stop();
  await rm(httpRoot, { recursive: true });
});

const fault = (body: unknown) =>
  JSON.parse((body as { error_message: string }).error_message) as Record<string, unknown>;

describe('versions', () => {
  test('the root tells the newest, as agents need it', async () => {
    const { body } = await conductor.call('GET', '/', undefined, { 'x-openstack-ironic-api-version': '1.1' });
    expect(body).toMatchObject({ default_version: { id: 'v1', version: '1.81', min_version: '1.1' } });
    expect((await conductor.call('GET', '/v1/')).body).toMatchObject({ id: 'v1' });
  });

  test.each(['1.82', '2.0', '1', '0.9', '1.0', 'x', '1.81.1', '99999.99999'])('%s is not served', async (version) => {
    const { status, body } = await conductor.call('GET', '/v1/nodes', undefined, {
      'x-openstack-ironic-api-version': version,
    });
    expect(status).toBe(406);
    expect(fault(body)).toMatchObject({ faultcode: 'Client' });
  });

  test('every answer says which there are', async () => {
    const response = await fetch(`${conductor.url}/v1/nodes`, {
      headers: { 'x-openstack-ironic-api-version': 'latest' },
    });
    expect(response.headers.get('x-openstack-ironic-api-version')).toBe('1.81');
    expect(response.headers.get('x-openstack-ironic-api-minimum-version')).toBe('1.1');
    expect(response.headers.get('x-openstack-ironic-api-maximum-version')).toBe('1.81');
  });

  test('the ramdisk endpoints came with 1.22', async () => {
    const old = { 'x-openstack-ironic-api-version': '1.21' };
    expect((await conductor.call('GET', '/v1/lookup?addresses=52:54:00:00:00:01', undefined, old)).status).toBe(404);
    expect((await conductor.call('POST', '/v1/heartbeat/n1', {}, old)).status).toBe(404);
  });
});

describe('nodes', () => {
  test('are found by name and by uuid, and show no secret', async () => {
    const byName = await conductor.call('GET', '/v1/nodes/n1');
    expect(byName.body).toMatchObject({
      provision_state: 'enroll',
      driver_info: { redfish_password: '******' },
      reservation: null,
    });
    expect((await conductor.call('GET', `/v1/nodes/${byName.body.uuid.toUpperCase()}`)).body.uuid).toBe(
      byName.body.uuid,
    );
    expect(fault((await conductor.call('GET', '/v1/nodes/n2')).body)).toMatchObject({
      faultstring: 'cannot find node n2',
    });
  });

  test('are listed in short, in long, by state and by field', async () => {
    const short = (await conductor.call('GET', '/v1/nodes')).body as unknown as { nodes: object[] };
    expect(Object.keys(short.nodes[0] ?? {}).toSorted()).toEqual([
      'instance_uuid',
      'links',
      'maintenance',
      'name',
      'power_state',
      'provision_state',
      'uuid',
    ]);
    expect((await conductor.call('GET', '/v1/nodes/detail')).body).toMatchObject({ nodes: [{ driver: 'redfish' }] });
    expect((await conductor.call('GET', '/v1/nodes?provision_state=active')).body).toEqual({ nodes: [] });
    expect((await conductor.call('GET', '/v1/nodes?fields=name,driver')).body).toMatchObject({
      nodes: [{ name: 'n1', driver: 'redfish' }],
    });
    expect((await conductor.call('GET', '/v1/nodes?fields=nonsense')).status).toBe(400);
    expect((await conductor.call('GET', '/v1/nodes?provision_state=nonsense')).status).toBe(400);
  });

  test('are changed by JSON patch, wholly or not at all', async () => {
    const patch = (operations: unknown) => conductor.call('PATCH', '/v1/nodes/n1', operations);
    expect(
      (
        await patch([
          { op: 'add', path: '/properties/a/b/-', value: 3 },
          { op: 'add', path: '/extra/x', value: 1 },
        ])
      ).body,
    ).toMatchObject({
      properties: { a: { b: [1, 2, 3] } },
      extra: { x: 1 },
    });
    expect((await patch([{ op: 'remove', path: '/extra/x' }])).body['extra']).toEqual({});
    for (const operations of [
      [
        { op: 'add', path: '/extra/y', value: 1 },
        { op: 'remove', path: '/extra/nothing' },
      ],
      [{ op: 'replace', path: '/provision_state', value: 'active' }],
      [{ op: 'add', path: '/uuid', value: 'x' }],
      [{ op: 'replace', path: '/properties', value: 'text' }],
      [{ op: 'replace', path: '/name', value: 'no good name' }],
      [{ op: 'replace', path: '/driver', value: 'ipmi' }],
      [{ op: 'add', path: '/__proto__/x', value: 1 }],
      [{ op: 'add', path: '/properties/constructor/x', value: 1 }],
      [{ op: 'move', path: '/name', from: '/extra' }],
      [{ op: 'add', path: '/instance_info/configdrive', value: 'H4sI' }],
      'text',
      {},
    ]) {
      const { status, body } = await patch(operations);
      expect({ operations, status }).toEqual({ operations, status: 400 });
      expect(fault(body)['faultcode']).toBe('Client');
    }
    expect((await conductor.node())['extra']).toEqual({});
    expect((await conductor.node())['name']).toBe('n1');
  });

  test.each([
    [{}, 400],
    [{ driver: 'ipmi' }, 400],
    [{ driver: 'redfish', nonsense: 1 }, 400],
    [{ driver: 'redfish', name: 'a b' }, 400],
    [{ driver: 'redfish', name: '-a' }, 400],
    [{ driver: 'redfish', name: 'n1' }, 409],
    [{ driver: 'redfish', uuid: 'x' }, 400],
    [{ driver: 'redfish', driver_info: [] }, 400],
    [{ driver: 'redfish', instance_info: { configdrive: 'H4sI' } }, 400],
  ])('that do not do are refused: %j', async (body, status) => {
    expect((await conductor.call('POST', '/v1/nodes', body)).status).toBe(status);
  });

  test('are removed with what belongs to them', async () => {
    const { body } = await conductor.call('POST', '/v1/nodes', { name: 'gone', driver: 'redfish' });
    await conductor.call('POST', '/v1/ports', { node_uuid: body.uuid, address: '52:54:00:00:00:99' });
    expect((await conductor.call('DELETE', '/v1/nodes/gone')).status).toBe(204);
    expect((await conductor.call('GET', '/v1/ports/52:54:00:00:00:99')).status).toBe(404);
  });
});

describe('states', () => {
  test('a verb that the state does not know is refused with what it does know', async () => {
    const { status, body } = await conductor.provision('active');
    expect(status).toBe(400);
    expect(fault(body)['faultstring']).toBe('cannot active node n1 while it is in state "enroll"');
    expect(body['hint']).toBe('from here it can: manage');
  });

  test.each([
    [{ target: 'explode' }],
    [{}],
    [{ target: 'manage', nonsense: 1 }],
    [{ target: 'manage', clean_steps: [{ step: 'x', interface: 'deploy' }] }],
    [{ target: 'manage', clean_steps: [{ step: 'x' }] }],
    [{ target: 'manage', configdrive: 'H4sI' }],
    [{ target: 'manage', configdrive: 'no base64' }],
    [{ target: 'manage', configdrive: { nonsense: 1 } }],
  ])('a request that makes no sense is refused: %j', async (body) => {
    expect((await conductor.call('PUT', '/v1/nodes/n1/states/provision', body)).status).toBe(400);
    expect((await conductor.node()).provision_state).toBe('enroll');
  });

  test('an inventory that is not there is 404', async () => {
    expect((await conductor.call('GET', '/v1/nodes/n1/inventory')).status).toBe(404);
  });
});

describe('ramdisks', () => {
  test.each([
    ['', 400],
    ['addresses=', 400],
    ['addresses=nonsense', 400],
    ['addresses=00:00:00:00:00:00', 404],
    ['addresses=52:54:00:00:00:01', 404],
    ['addresses=52:54:00:00:00:01&addresses=00:00:00:00:00:00', 404],
    ['addresses=x&node_uuid=nonsense', 404],
  ])('lookup of a node that is not awaited, or of nothing: %s', async (query, status) => {
    const { status: given, body } = await conductor.call('GET', `/v1/lookup?${query}`);
    expect(given).toBe(status);
    expect(fault(body)).toHaveProperty('faultstring');
  });

  test('an inventory of an unknown machine is 404, one without NICs 400', async () => {
    const post = (body: unknown) =>
      conductor.call('POST', '/v1/continue_inspection', body, { 'x-openstack-ironic-api-version': '1.1' });
    expect((await post({ inventory: { interfaces: [{ mac_address: '00:00:00:00:00:00' }] } })).status).toBe(404);
    expect((await post({ inventory: { interfaces: [] } })).status).toBe(400);
    expect((await post({ inventory: { interfaces: [{ mac_address: 5 }] } })).status).toBe(400);
  });

  test('the boot script of a node that needs no ramdisk, or of no node, leaves iPXE', async () => {
    for (const mac of ['52:54:00:00:00:01', '52-54-00-00-00-01', '00:00:00:00:00:00', 'nonsense%0Areboot']) {
      const script = await (await fetch(`${conductor.url}/boot/ipxe/${mac}`)).text();
      expect(script).toMatch(/^#!ipxe\necho Ingot: [^\n]*\nexit 1\n$/);
    }
  });

  test('kernel and initramfs are served', async () => {
    for (const name of ['deploy.kernel', 'deploy.initramfs']) {
      const response = await fetch(`${conductor.url}/boot/${name}`);
      expect(response.status).toBe(200);
      expect(await response.text()).toContain('"name": "ingot"');
    }
  });
});

describe('images', () => {
  test('are served whole, in ranges, and with what If-Range needs', async () => {
    const whole = await fetch(`${conductor.url}/images/disk.raw`);
    expect(Buffer.from(await whole.arrayBuffer()).equals(IMAGE)).toBe(true);
    const etag = whole.headers.get('etag') ?? '';
    const range = await fetch(`${conductor.url}/images/disk.raw`, {
      headers: { range: 'bytes=1000-1999', 'if-range': etag },
    });
    expect(range.status).toBe(206);
    expect(range.headers.get('content-range')).toBe('bytes 1000-1999/5000');
    expect(Buffer.from(await range.arrayBuffer()).equals(IMAGE.subarray(1000, 2000))).toBe(true);
    const head = await fetch(`${conductor.url}/images/disk.raw`, { method: 'HEAD' });
    expect([head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual(['5000', 'bytes']);
  });

  test.each(['nothing.raw', '', '.hidden', '../conductor.sqlite', '%2e%2e/conductor.sqlite', '..%2fconductor.sqlite'])(
    'nothing else is: %s',
    async (path) => {
      const response = await fetch(`${conductor.url}/images/${path}`);
      expect([403, 404]).toContain(response.status);
      expect(fault(await response.json())).toMatchObject({ faultcode: 'Client' });
    },
  );
});

describe('anything at all', () => {
  const path = fc.constantFrom(
    ['POST', '/v1/heartbeat/n1'],
    ['POST', '/v1/heartbeat/nonsense'],
    ['POST', '/v1/continue_inspection'],
    ['POST', '/v1/nodes'],
    ['PATCH', '/v1/nodes/n1'],
    ['PUT', '/v1/nodes/n1/states/provision'],
    ['PUT', '/v1/nodes/n1/states/power'],
    ['POST', '/v1/ports'],
    ['DELETE', '/v1/ports/x'],
    ['PUT', '/v1/nowhere'],
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({
      callback_url: fc.string(),
      agent_token: fc.string(),
      agent_version: fc.string(),
      agent_verify_ca: fc.string(),
    }),
    fc.record({
      target: fc.oneof(fc.string(), fc.constantFrom('provide', 'abort')),
      clean_steps: fc.jsonValue(),
      configdrive: fc.jsonValue(),
    }),
    fc.record({
      inventory: fc.record({ interfaces: fc.array(fc.record({ mac_address: fc.jsonValue() })) }),
      error: fc.jsonValue(),
    }),
    fc.array(fc.record({ op: fc.constantFrom('add', 'remove'), path: fc.string(), value: fc.jsonValue() })),
  );

  test('that is sent as a body gives a refusal of the right form, and never a 500', async () => {
    await fc.assert(
      fc.asyncProperty(
        path,
        fc.oneof(
          body.map((value) => JSON.stringify(value)),
          fc.string(),
        ),
        async ([method = '', target = ''], text) => {
          const response = await conductor.call(method, target, text);
          expect(response.status).toBeGreaterThanOrEqual(200);
          expect(response.status).toBeLessThan(500);
          const faultstring = response.status < 400 ? 'none' : fault(response.body)['faultstring'];
          expect(faultstring).toBeTypeOf('string');
        },
      ),
      { numRuns: 300 },
    );
    // Nothing of it may have changed the node, but a patch that happened to fit.
    expect((await conductor.node()).provision_state).toBe('enroll');
  });

  test('another content type is refused in the same form', async () => {
    const { status, body } = await conductor.call('POST', '/v1/nodes', '<xml/>', { 'content-type': 'text/xml' });
    expect(status).toBe(415);
    expect(fault(body)).toMatchObject({ faultcode: 'Client' });
  });
});
