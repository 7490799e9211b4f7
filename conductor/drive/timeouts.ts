import { STATE_KINDS } from '../states/table.ts';
import type { NodeRecord } from '../store/node.ts';

/** The last sign of life that a waiting node gave, milliseconds; the start of its wait counts as one. */
function lastSign(node: NodeRecord, contact: number | undefined): number {
  const times = [node.provision_updated_at, node.driver_internal_info.agent_last_heartbeat ?? null];
  return Math.max(contact ?? 0, ...times.flatMap((time) => (time === null ? [] : [Date.parse(time)])));
}

/** How far the machine got on its way into the ramdisk, and where to look next. */
function howFar(node: NodeRecord, publicUrl: string): string {
  const info = node.driver_internal_info;
  if (info.agent_last_heartbeat !== undefined) {
    return `the agent's last heartbeat came at ${info.agent_last_heartbeat}; look at the machine's console and whether it still reaches ${publicUrl}`;
  }
  if (info.ingot_looked_up !== undefined) {
    return `its agent looked the node up at ${info.ingot_looked_up} and sent no heartbeat; look at the machine's console for what the agent says`;
  }
  if (info.ingot_boot_script_fetched !== undefined) {
    return `it fetched its boot script at ${info.ingot_boot_script_fetched}, but its agent never reported; look at the machine's console: does the kernel start, does it get an address, does it reach ${publicUrl}?`;
  }
  return `it never fetched its boot script; look at the machine's console: does it boot from the network, from the NIC with the node's MAC address, and does iPXE get to ${publicUrl}/boot/ipxe/?`;
}

/** @returns why a node has waited too long, or undefined while it may still wait */
export function timeoutReason(
  node: NodeRecord,
  context: { now: number; contact: number | undefined; timeoutSeconds: number; publicUrl: string },
): string | undefined {
  if (STATE_KINDS[node.provision_state] !== 'waiting') return undefined;
  const silent = (context.now - lastSign(node, context.contact)) / 1000;
  if (silent < context.timeoutSeconds) return undefined;
  const word = node.provision_state === 'inspect wait' ? 'inventory' : 'sign of life';
  return `no ${word} from the machine for ${context.timeoutSeconds} s in "${node.provision_state}": ${howFar(node, context.publicUrl)}`;
}
