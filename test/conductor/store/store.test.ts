import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { systemOs } from '../../../conductor/os/system.ts';
import { openStore, type Store } from '../../../conductor/store/store.ts';
import { MASK, maskSecrets, maskUrl, nodeView } from '../../../conductor/store/view.ts';

let folder: string;
let path: string;
let store: Store;
const open = () => openStore(systemOs.openDatabase(path), path);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-store-'));
  path = join(folder, 'conductor.sqlite');
  store = open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const NODE = { name: 'n1', driver: 'redfish', driver_info: { redfish_password: 's3cret' } };

describe('the store', () => {
  test('keeps everything over a restart', () => {
    const { uuid } = store.createNode(NODE);
    store.createPort({ node_uuid: uuid, address: '52:54:00:AA:BB:CC' });
    store.setInventory(uuid, { inventory: { a: 1 }, plugin_data: { b: [2] } });
    store.setConfigdrive(uuid, { meta_data: { hostname: 'h' } });
    store.updateNode(uuid, {
      provision_state: 'clean wait',
      driver_internal_info: { clean_step_index: 3, agent_url: 'https://a' },
    });
    const before = [store.getNode('n1'), store.listPorts(uuid), store.getInventory(uuid), store.getConfigdrive(uuid)];
    store.close();
    store = open();
    expect([store.getNode('n1'), store.listPorts(uuid), store.getInventory(uuid), store.getConfigdrive(uuid)]).toEqual(
      before,
    );
    expect(store.nodesOfAddresses(['52:54:00:aa:bb:cc', '00:00:00:00:00:00']).map((node) => node.uuid)).toEqual([uuid]);
  });

  test('is readable by its owner only, journal included', () => {
    store.createNode(NODE);
    for (const suffix of ['', '-wal']) expect(statSync(path + suffix).mode & 0o777).toBe(0o600);
  });

  test('names, uuids and addresses belong to one node', () => {
    const first = store.createNode(NODE);
    expect(() => store.createNode(NODE)).toThrow('another node has it');
    const second = store.createNode({ ...NODE, name: 'n2' });
    expect(() => store.createNode({ ...NODE, name: null, uuid: second.uuid })).toThrow('another node has it');
    expect(() => store.updateNode(second.uuid, { name: 'n1' })).toThrow('another node has it');
    expect(store.updateNode(first.uuid, { name: 'n1' }).name).toBe('n1');
    store.createPort({ node_uuid: first.uuid, address: '52:54:00:aa:bb:cc' });
    expect(() => store.createPort({ node_uuid: second.uuid, address: '52:54:00:AA:BB:CC' })).toThrow('already exists');
  });

  test('a removed node takes its ports, inventory and config drive along', () => {
    const { uuid } = store.createNode(NODE);
    store.createPort({ node_uuid: uuid, address: '52:54:00:aa:bb:cc' });
    store.setConfigdrive(uuid, 'H4sI');
    store.deleteNode(uuid);
    expect(store.listPorts()).toEqual([]);
    expect(() => store.getNode('n1')).toThrow('cannot find node n1');
    store.createPort({ node_uuid: store.createNode(NODE).uuid, address: '52:54:00:aa:bb:cc' });
  });

  test('refuses a database of a newer version', () => {
    store.close();
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version=99');
    database.close();
    expect(() => open()).toThrow('it has version 99'.slice(3));
    const repair = new DatabaseSync(path);
    repair.exec('PRAGMA user_version=1');
    repair.close();
    store = open();
  });

  test('refuses a file that is no database', async () => {
    const other = join(folder, 'other.sqlite');
    await systemOs.writeFile(other, Buffer.from('no database at all, but long enough to be read as one'), 0o600);
    expect(() => openStore(systemOs.openDatabase(other), other)).toThrow('cannot open the conductor');
  });
});

describe('what the API shows', () => {
  test('has no secret in it', () => {
    const node = store.createNode({
      ...NODE,
      instance_info: { image_source: 'http://user:geheim@host/image', configdrive: 'H4sIgeheim' },
    });
    const shown = store.updateNode(node.uuid, {
      driver_internal_info: { agent_secret_token: 'geheim', agent_url: 'https://a' },
    });
    const text = JSON.stringify(nodeView(shown));
    expect(text).not.toContain('geheim');
    expect(text).not.toContain('s3cret');
    expect(text).toContain('https://a');
  });

  test('masks whatever is called a password, at any depth', () => {
    const key = fc.constantFrom('password', 'redfish_password', 'API_TOKEN', 'client_secret');
    fc.assert(
      fc.property(key, fc.uuid(), fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }), (name, secret, path) => {
        const tree = path.reduceRight<unknown>((inner, step) => ({ [step]: [inner] }), { [name]: secret });
        const text = JSON.stringify(maskSecrets(tree));
        expect(text).not.toContain(secret);
        expect(text).toContain(MASK);
      }),
    );
  });

  test('leaves URLs without a login as they are', () => {
    expect(maskUrl('http://host/a@b')).toBe('http://host/a@b');
    expect(maskUrl('https://u:p@host/x')).toBe(`https://${MASK}@host/x`);
  });
});
