import { randomUUID } from 'node:crypto';

import type { Database } from '../os/door.ts';
import { storeFailure } from './failures.ts';
import type { InventoryRecord, JsonObject, NodeRecord, PortRecord } from './node.ts';
import { prepareDatabase } from './schema.ts';

export type NewNode = Pick<NodeRecord, 'name' | 'driver' | 'driver_info'> &
  Partial<
    Pick<
      NodeRecord,
      'uuid' | 'properties' | 'extra' | 'instance_info' | 'description' | 'resource_class' | 'instance_uuid'
    >
  >;
export type NodeChange = Partial<Omit<NodeRecord, 'id' | 'uuid' | 'created_at' | 'updated_at'>>;

/** Nodes, ports and inventories. Every change is on the disk when its call returns. */
export type Store = {
  listNodes: () => NodeRecord[];
  /** @param ident uuid or name */
  findNode: (ident: string) => NodeRecord | undefined;
  /** @throws Failure NODE_NOT_FOUND */
  getNode: (ident: string) => NodeRecord;
  /** The nodes that own at least one of the MAC addresses. */
  nodesOfAddresses: (addresses: readonly string[]) => NodeRecord[];
  createNode: (node: NewNode) => NodeRecord;
  /** Reads, changes and writes in one go. @throws Failure NODE_NOT_FOUND, NAME_TAKEN */
  updateNode: (uuid: string, change: NodeChange | ((node: NodeRecord) => NodeChange)) => NodeRecord;
  deleteNode: (uuid: string) => void;
  listPorts: (nodeUuid?: string) => PortRecord[];
  getPort: (uuidOrAddress: string) => PortRecord;
  /** @throws Failure ADDRESS_TAKEN */
  createPort: (port: { node_uuid: string; address: string; pxe_enabled?: boolean; extra?: JsonObject }) => PortRecord;
  deletePort: (uuid: string) => void;
  /**
   * Kept beside the node, because it may be 64 MiB and the node is written often.
   * @param content what was asked for, or base64 of the gzipped drive; undefined removes it
   */
  setConfigdrive: (nodeUuid: string, content: JsonObject | string | undefined) => void;
  getConfigdrive: (nodeUuid: string) => JsonObject | string | undefined;
  setInventory: (nodeUuid: string, inventory: InventoryRecord) => void;
  getInventory: (nodeUuid: string) => InventoryRecord | undefined;
  close: () => void;
};

/** Time as the API shows it. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '+00:00');
}

type Row = { id: number; record: string };
/** Fields that older records do not have. */
const SINCE: Partial<NodeRecord> = { target_raid_config: {}, raid_config: {} };
const nodeOf = (row: unknown): NodeRecord => ({
  ...SINCE,
  ...(JSON.parse((row as Row).record) as NodeRecord),
  id: (row as Row).id,
});
const portOf = (row: unknown): PortRecord => ({
  ...(JSON.parse((row as Row).record) as PortRecord),
  id: (row as Row).id,
});

function emptyNode(node: NewNode, now: string): Omit<NodeRecord, 'id'> {
  return {
    uuid: node.uuid ?? randomUUID(),
    name: node.name,
    description: node.description ?? null,
    resource_class: node.resource_class ?? null,
    driver: node.driver,
    instance_uuid: node.instance_uuid ?? null,
    provision_state: 'enroll',
    target_provision_state: null,
    provision_updated_at: null,
    power_state: null,
    target_power_state: null,
    last_error: null,
    maintenance: false,
    maintenance_reason: null,
    inspection_started_at: null,
    inspection_finished_at: null,
    clean_step: {},
    deploy_step: {},
    target_raid_config: {},
    raid_config: {},
    properties: node.properties ?? {},
    driver_info: node.driver_info,
    instance_info: node.instance_info ?? {},
    driver_internal_info: {},
    extra: node.extra ?? {},
    created_at: now,
    updated_at: null,
  };
}

/**
 * @param database from `conductor/os`; this takes it over and closes it
 * @param now milliseconds since the epoch
 */
export function openStore(database: Database, path: string, now: () => number = Date.now): Store {
  prepareDatabase(database, path);
  const sql = (text: string) => database.prepare(text);
  const nodes = {
    all: sql('SELECT id, record FROM nodes ORDER BY id'),
    byUuid: sql('SELECT id, record FROM nodes WHERE uuid = ?'),
    byName: sql('SELECT id, record FROM nodes WHERE name = ?'),
    insert: sql('INSERT INTO nodes (uuid, name, record) VALUES (?, ?, ?)'),
    update: sql('UPDATE nodes SET name = ?, record = ? WHERE uuid = ?'),
    remove: sql('DELETE FROM nodes WHERE uuid = ?'),
  };
  const ports = {
    all: sql('SELECT id, record FROM ports ORDER BY id'),
    ofNode: sql('SELECT id, record FROM ports WHERE node_id = ? ORDER BY id'),
    one: sql('SELECT id, record FROM ports WHERE uuid = ? OR address = ?'),
    insert: sql('INSERT INTO ports (uuid, node_id, address, record) VALUES (?, ?, ?, ?)'),
    remove: sql('DELETE FROM ports WHERE uuid = ?'),
  };
  const configdrives = {
    get: sql('SELECT content FROM configdrives WHERE node_id = ?'),
    set: sql('INSERT OR REPLACE INTO configdrives (node_id, content) VALUES (?, ?)'),
    remove: sql('DELETE FROM configdrives WHERE node_id = ?'),
  };
  const inventories = {
    get: sql('SELECT node_id AS id, record FROM inventories WHERE node_id = ?'),
    set: sql('INSERT OR REPLACE INTO inventories (node_id, record) VALUES (?, ?)'),
  };

  const findNode: Store['findNode'] = (ident) => {
    const row = nodes.byUuid.get(ident.toLowerCase()) ?? nodes.byName.get(ident);
    return row && nodeOf(row);
  };
  const getNode: Store['getNode'] = (ident) => {
    const node = findNode(ident);
    if (node === undefined) throw storeFailure('NODE_NOT_FOUND', ident);
    return node;
  };
  const findPort = (ident: string) => {
    const row = ports.one.get(ident, ident.toLowerCase());
    return row && portOf(row);
  };
  const nameIsFree = (name: string | null, uuid: string) => {
    const owner = name === null ? undefined : findNode(name);
    if (owner !== undefined && owner.uuid !== uuid) throw storeFailure('NAME_TAKEN', name ?? '');
  };

  return {
    findNode,
    getNode,
    listNodes: () => nodes.all.all().map((row) => nodeOf(row)),
    nodesOfAddresses: (addresses) => {
      const uuids = new Set(addresses.flatMap((address) => findPort(address)?.node_uuid ?? []));
      return [...uuids].map((uuid) => getNode(uuid));
    },
    createNode: (node) => {
      const record = emptyNode(node, timestamp(now()));
      if (findNode(record.uuid)) throw storeFailure('UUID_TAKEN', record.uuid);
      nameIsFree(record.name, record.uuid);
      nodes.insert.run(record.uuid, record.name, JSON.stringify(record));
      return getNode(record.uuid);
    },
    updateNode: (uuid, change) => {
      const old = getNode(uuid);
      const changed = {
        ...old,
        ...(typeof change === 'function' ? change(old) : change),
        updated_at: timestamp(now()),
      };
      nameIsFree(changed.name, uuid);
      nodes.update.run(changed.name, JSON.stringify(changed), old.uuid);
      return changed;
    },
    deleteNode: (uuid) => {
      nodes.remove.run(uuid);
    },
    listPorts: (nodeUuid) =>
      (nodeUuid === undefined ? ports.all.all() : ports.ofNode.all(getNode(nodeUuid).id)).map((row) => portOf(row)),
    getPort: (ident) => {
      const port = findPort(ident);
      if (port === undefined) throw storeFailure('PORT_NOT_FOUND', ident);
      return port;
    },
    createPort: ({ node_uuid, address, pxe_enabled = true, extra = {} }) => {
      const mac = address.toLowerCase();
      const node = getNode(node_uuid);
      if (findPort(mac)) throw storeFailure('ADDRESS_TAKEN', mac);
      const record: Omit<PortRecord, 'id'> = {
        uuid: randomUUID(),
        node_id: node.id,
        node_uuid: node.uuid,
        address: mac,
        pxe_enabled,
        extra,
        created_at: timestamp(now()),
        updated_at: null,
      };
      ports.insert.run(record.uuid, node.id, mac, JSON.stringify(record));
      return findPort(mac) as PortRecord;
    },
    deletePort: (uuid) => {
      ports.remove.run(uuid);
    },
    setConfigdrive: (nodeUuid, content) => {
      const { id } = getNode(nodeUuid);
      if (content === undefined) configdrives.remove.run(id);
      else configdrives.set.run(id, JSON.stringify(content));
    },
    getConfigdrive: (nodeUuid) => {
      const row = configdrives.get.get(getNode(nodeUuid).id);
      return row && (JSON.parse(String(row['content'])) as JsonObject | string);
    },
    setInventory: (nodeUuid, inventory) => {
      inventories.set.run(getNode(nodeUuid).id, JSON.stringify(inventory));
    },
    getInventory: (nodeUuid) => {
      const row = inventories.get.get(getNode(nodeUuid).id);
      if (row === undefined) return undefined;
      const { inventory, plugin_data } = JSON.parse((row as Row).record) as InventoryRecord;
      return { inventory, plugin_data };
    },
    close: () => database.close(),
  };
}
