import type { Node } from '../api/command.ts';

export type BootMode = 'uefi' | 'bios';
export type DiskLabel = 'gpt' | 'msdos';

type Capabilities = Record<string, unknown>;

function isObject(value: unknown): value is Capabilities {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `k:v,k:v`, as operators have written capabilities since Ironic's beginning. */
function splitCapabilities(text: string): Capabilities {
  return Object.fromEntries(
    text.split(',').flatMap((pair) => {
      const at = pair.indexOf(':');
      return at > 0 ? [[pair.slice(0, at).trim(), pair.slice(at + 1).trim()]] : [];
    }),
  );
}

/** Capabilities are an object, its JSON, or `k:v,k:v` (agent-protocol G.5). What is none of them counts as none. */
function capabilities(owner: Record<string, unknown> | undefined): Capabilities {
  const value = owner?.['capabilities'];
  if (isObject(value)) return value;
  if (typeof value !== 'string') return {};
  try {
    const parsed: unknown = JSON.parse(value);
    return isObject(parsed) ? parsed : {};
  } catch {
    return splitCapabilities(value);
  }
}

/**
 * By which firmware a node will start what is deployed to it (agent-protocol G.5).
 * @param firmware how this ramdisk was started, which decides when the node does not say
 */
export function nodeBootMode(node: Node | undefined, firmware: BootMode): BootMode {
  const [instance, machine] = [capabilities(node?.instance_info), capabilities(node?.properties)];
  if (String(instance['secure_boot'] ?? machine['secure_boot']).toLowerCase() === 'true') return 'uefi';
  const said =
    node?.instance_info?.['deploy_boot_mode'] ??
    machine['boot_mode'] ??
    node?.driver_internal_info?.['deploy_boot_mode'];
  const mode = String(said).toLowerCase();
  return mode === 'uefi' || mode === 'bios' ? mode : firmware;
}

/** What kind of partition table a node's disk gets: UEFI always has a GPT, else the capability `disk_label` says it. */
export function nodeDiskLabel(node: Node | undefined, mode: BootMode): DiskLabel {
  if (mode === 'uefi') return 'gpt';
  const label = capabilities(node?.instance_info)['disk_label'] ?? capabilities(node?.properties)['disk_label'];
  return label === 'gpt' ? 'gpt' : 'msdos';
}
