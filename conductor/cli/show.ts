import { formatBytes, formatSeconds } from '../../cli/progress.ts';
import type { NodeJson } from './client.ts';

type Output = { write: (text: string) => unknown };

/** JSON for programs: one object, indented, with a line break at its end. */
export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Columns as wide as they need to be, two spaces between them; the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** `deploy.write_image 45% of 2.36 GB`, or nothing while no command runs. */
export function progressText(node: NodeJson): string | undefined {
  const agent = node.driver_internal_info['agent_progress'] as Record<string, unknown> | undefined;
  if (agent === undefined) return undefined;
  const { done, total, unit } = agent;
  const share =
    typeof done === 'number' && typeof total === 'number' && total > 0
      ? `${Math.floor((100 * done) / total)}% of ${unit === 'bytes' ? formatBytes(total) : `${total}${typeof unit === 'string' ? ` ${unit}` : ''}`}`
      : undefined;
  return [agent['step'], agent['phase'], share, agent['message']].filter((part) => typeof part === 'string').join(' ');
}

/** What `ingot node list` prints. */
export function nodeTable(nodes: readonly NodeJson[]): string {
  const rows = nodes.map((node) => [
    node.name ?? '-',
    node.provision_state,
    node.power_state ?? '-',
    progressText(node) ?? (node.last_error === null ? '' : node.last_error.slice(0, 100)),
    node.uuid,
  ]);
  return table([['NAME', 'STATE', 'POWER', 'PROGRESS OR ERROR', 'UUID'], ...rows]);
}

function hardwareText(inventory: Record<string, unknown>): string[] {
  const cpu = inventory['cpu'] as { count?: number; model_name?: string } | undefined;
  const memory = inventory['memory'] as { physical_mb?: number } | undefined;
  const disks = (inventory['disks'] ?? []) as {
    name: string;
    size: number;
    model: string | null;
    serial: string | null;
  }[];
  const nics = (inventory['interfaces'] ?? []) as { name: string; mac_address: string; ipv4_address: string | null }[];
  return [
    `cpu: ${cpu?.count ?? '?'} x ${cpu?.model_name ?? '?'}`,
    `memory: ${memory?.physical_mb ?? '?'} MiB`,
    ...disks.map((disk) =>
      `disk: ${disk.name} ${formatBytes(disk.size)} ${disk.model ?? ''} serial ${disk.serial ?? 'none'}`.replaceAll(
        / +/g,
        ' ',
      ),
    ),
    ...nics.map((nic) => `nic: ${nic.name} ${nic.mac_address} ${nic.ipv4_address ?? ''}`.trimEnd()),
  ];
}

function fact(facts: Record<string, unknown>, key: string): string | undefined {
  const value = facts[key];
  return typeof value === 'string' ? value : undefined;
}

function bootSeconds(node: NodeJson): string | undefined {
  const seconds = node.driver_internal_info['ingot_ramdisk_boot_seconds'];
  return typeof seconds === 'number' ? `first heartbeat ${formatSeconds(seconds)} after power on` : undefined;
}

/** What `ingot node show` prints: one fact a line, what matters first. */
export function nodeText(
  node: NodeJson,
  macs: readonly string[],
  inventory: Record<string, unknown> | undefined,
): string {
  const facts: [string, string | null | undefined][] = [
    ['name', node.name],
    ['uuid', node.uuid],
    [
      'state',
      node.target_provision_state === null
        ? node.provision_state
        : `${node.provision_state} (on its way to ${node.target_provision_state})`,
    ],
    [
      'power',
      node.target_power_state === null
        ? node.power_state
        : `${node.power_state} (on its way to ${node.target_power_state})`,
    ],
    ['at work', node.reservation],
    ['progress', progressText(node)],
    ['last error', node.last_error],
    ['agent logs', fact(node.driver_internal_info, 'ingot_agent_logs')],
    ['last heartbeat', fact(node.driver_internal_info, 'agent_last_heartbeat')],
    ['ramdisk', bootSeconds(node)],
    ['agent', fact(node.driver_internal_info, 'agent_url')],
    ['MAC', macs.join(', ')],
    ['driver info', JSON.stringify(node['driver_info'])],
    ['properties', JSON.stringify(node['properties'])],
    ['RAID', JSON.stringify(node['raid_config'])],
    ['RAID wanted', JSON.stringify(node['target_raid_config'])],
    ['instance info', JSON.stringify(node['instance_info'])],
    ['inspected', fact(node, 'inspection_finished_at')],
  ];
  const lines = facts.flatMap(([name, value]) =>
    value === null || value === undefined || value === '' || (value === '{}' && name.startsWith('RAID'))
      ? []
      : [`${name.padEnd(15)} ${value}`],
  );
  const hardware = inventory === undefined ? [] : hardwareText(inventory).map((line) => `${''.padEnd(15)} ${line}`);
  return `${[...lines, ...hardware].join('\n')}\n`;
}
