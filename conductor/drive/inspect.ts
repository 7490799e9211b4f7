import { Type } from 'typebox';

import type { JsonObject, NodeRecord } from '../store/node.ts';
import { timestamp } from '../store/store.ts';
import type { DriveDeps } from './deps.ts';
import { orFail } from './fail.ts';
import { driveFailure } from './failures.ts';
import { setInfo, transition } from './node-change.ts';
import { switchOff } from './power.ts';
import { matches } from './schema.ts';
import { FORGET_FLOW } from './step-flow.ts';

/** The least that is needed (agent-protocol H.2); the rest is kept as it comes. */
const PostedSchema = Type.Object({
  inventory: Type.Object({
    interfaces: Type.Array(Type.Object({ mac_address: Type.String() }), { minItems: 1 }),
  }),
  error: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

export function normalMac(text: string): string | undefined {
  const mac = text.trim().toLowerCase().replaceAll('-', ':');
  return MAC.test(mac) ? mac : undefined;
}

/**
 * Takes what a ramdisk posts to `/v1/continue_inspection`. When it returns, the inventory is kept.
 * @returns the node that it belongs to
 * @throws Failure LOOKUP_REQUEST, LOOKUP_NOT_FOUND; NODE_LOCKED makes the ramdisk try again
 */
export function receiveInventory(deps: DriveDeps, body: unknown): NodeRecord {
  if (!matches(PostedSchema, body)) {
    throw driveFailure('LOOKUP_REQUEST', 'the inventory has no interfaces with a mac_address');
  }
  const addresses = body.inventory.interfaces.flatMap((nic) => normalMac(nic.mac_address) ?? []);
  const nodes = deps.store.nodesOfAddresses(addresses);
  const node = nodes.find((one) => one.provision_state === 'inspect wait');
  if (node === undefined || nodes.length > 1) {
    const why =
      nodes.length > 1
        ? 'several nodes have'
        : nodes.length === 1
          ? 'the node is not in "inspect wait" that has'
          : 'no node has';
    throw driveFailure('LOOKUP_NOT_FOUND', `${why} ${addresses.join(', ') || 'a valid MAC address'}`);
  }
  deps.jobs.assertFree(node.uuid);
  const { inventory, logs, error, ...plugin_data } = body as typeof body & { logs?: unknown };
  deps.store.setInventory(node.uuid, { inventory, plugin_data });
  setInfo(deps, node.uuid, { ingot_inventory_received: true });
  const failure = typeof error === 'string' && error !== '' ? driveFailure('INSPECTION_FAILED', error) : undefined;
  deps.jobs.start(node.uuid, 'inspection', (signal) =>
    orFail(deps, node.uuid, signal, async () => {
      transition(deps, node.uuid, 'resume');
      if (typeof logs === 'string' && failure !== undefined) await keepLogs(deps, node.uuid, logs);
      if (failure !== undefined) throw failure;
      await finishInspection(deps, node.uuid, signal);
    }),
  );
  return node;
}

async function keepLogs(deps: DriveDeps, uuid: string, logs: string): Promise<void> {
  const path = `${deps.settings.logsDirectory}/${uuid}/inspection.tar.gz`;
  await deps.os.writeFile(path, Buffer.from(logs, 'base64'), 0o600);
  setInfo(deps, uuid, { ingot_agent_logs: path });
}

/** What Ironic's hooks set, as far as the inventory has it: architecture, processors, memory in MiB. */
function propertiesOf(inventory: JsonObject): JsonObject {
  const cpu = inventory['cpu'] as { architecture?: unknown; count?: unknown } | undefined;
  const memory = inventory['memory'] as { physical_mb?: unknown } | undefined;
  return {
    ...(typeof cpu?.architecture === 'string' && cpu.architecture !== '' && { cpu_arch: cpu.architecture }),
    ...(typeof cpu?.count === 'number' && { cpus: cpu.count }),
    ...(typeof memory?.physical_mb === 'number' && { memory_mb: memory.physical_mb }),
  };
}

/** The NIC that the machine booted from gets a port if it has none; other NICs do not (Ironic's `[inspector]add_ports = pxe`). */
function addBootPort(deps: DriveDeps, uuid: string, inventory: JsonObject): void {
  const boot = inventory['boot'] as { pxe_interface?: unknown } | undefined;
  const mac = typeof boot?.pxe_interface === 'string' ? normalMac(boot.pxe_interface.replace(/^01-/, '')) : undefined;
  if (mac === undefined || deps.store.nodesOfAddresses([mac]).length > 0) return;
  deps.store.createPort({ node_uuid: uuid, address: mac });
}

/** The rest of an inspection once its inventory is kept; done again after a restart of the conductor. */
export async function finishInspection(deps: DriveDeps, uuid: string, signal: AbortSignal): Promise<void> {
  const inventory = deps.store.getInventory(uuid)?.inventory ?? {};
  addBootPort(deps, uuid, inventory);
  deps.store.updateNode(uuid, (node) => ({ properties: { ...node.properties, ...propertiesOf(inventory) } }));
  await switchOff(deps, uuid, signal);
  transition(deps, uuid, 'done', {
    target_provision_state: null,
    inspection_finished_at: timestamp(deps.os.clock.now()),
    inspection_started_at: null,
    info: FORGET_FLOW,
  });
}
