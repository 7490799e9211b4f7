import type { JsonObject, NodeRecord, PortRecord } from './node.ts';

/** What stands in the API for a value that must not be seen. */
export const MASK = '******';

const SECRET_KEY = /password|secret|token|private_key/i;

/** Replaces the values of keys that look like secrets, at any depth. */
export function maskSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => maskSecrets(item));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      SECRET_KEY.test(key) && item !== null && item !== '' ? MASK : maskSecrets(item),
    ]),
  );
}

/** Takes user name and password out of a URL; other text stays. */
export function maskUrl(text: string): string {
  return text.replace(/^([a-z]+:\/\/)[^/@\s]+@/i, `$1${MASK}@`);
}

function maskInstanceInfo(info: JsonObject): JsonObject {
  const masked = maskSecrets(info) as JsonObject;
  if (info['configdrive'] !== undefined) masked['configdrive'] = MASK;
  if (typeof info['image_source'] === 'string') masked['image_source'] = maskUrl(info['image_source']);
  return masked;
}

export type NodeView = JsonObject & { uuid: string; name: string | null };

/**
 * A node as Ironic's API shows it, secrets masked.
 * @param extra what is known only while the conductor runs: `reservation`, progress of the agent's command
 */
export function nodeView(
  node: NodeRecord,
  extra: { reservation?: string | null; agentProgress?: JsonObject | undefined; configdrive?: string | undefined } = {},
): NodeView {
  const instance_info = maskInstanceInfo(node.instance_info);
  // The agent needs the config drive in the very command that writes it, and nowhere else.
  if (extra.configdrive !== undefined) instance_info['configdrive'] = extra.configdrive;
  return {
    ...node,
    clean_step: maskSecrets(node.clean_step),
    deploy_step: maskSecrets(node.deploy_step),
    driver_info: maskSecrets(node.driver_info),
    instance_info,
    driver_internal_info: {
      ...(maskSecrets(node.driver_internal_info) as JsonObject),
      ...(extra.agentProgress && { agent_progress: extra.agentProgress }),
    },
    service_step: {},
    reservation: extra.reservation ?? null,
    conductor: 'ingot',
    conductor_group: '',
    automated_clean: null,
    protected: false,
    protected_reason: null,
    fault: null,
    console_enabled: false,
    chassis_uuid: null,
    owner: null,
    lessee: null,
    retired: false,
    retired_reason: null,
    network_data: {},
    boot_mode: null,
    secure_boot: null,
    shard: null,
    parent_node: null,
    allocation_uuid: null,
    traits: [],
    boot_interface: 'ipxe',
    deploy_interface: 'direct',
    inspect_interface: 'agent',
    management_interface: 'redfish',
    network_interface: 'noop',
    power_interface: 'redfish',
    bios_interface: 'no-bios',
    console_interface: 'no-console',
    firmware_interface: 'no-firmware',
    raid_interface: 'agent',
    rescue_interface: 'no-rescue',
    storage_interface: 'noop',
    vendor_interface: 'no-vendor',
  };
}

/** A port as Ironic's API shows it. */
export function portView(port: PortRecord): JsonObject {
  return {
    uuid: port.uuid,
    node_uuid: port.node_uuid,
    address: port.address,
    pxe_enabled: port.pxe_enabled,
    extra: port.extra,
    local_link_connection: {},
    internal_info: {},
    physical_network: null,
    portgroup_uuid: null,
    is_smartnic: false,
    name: null,
    created_at: port.created_at,
    updated_at: port.updated_at,
  };
}
