import { type Client, connect, type NodeJson, nodePath } from './client.ts';
import { defineCommand } from '../../cli/command.ts';
import { API_OPTIONS } from './shared-options.ts';
import { Failure } from '../../system/failure.ts';
import { usageFailure } from '../../cli/options.ts';
import { nodeTable, nodeText, printJson } from './show.ts';

/** The one node that a command is about. @throws Failure with exit code 2 */
export function oneNode(positionals: readonly string[]): string {
  const [node, ...rest] = positionals;
  if (node === undefined)
    throw usageFailure('cannot run: the name or uuid of a node is missing', 'ingot node list shows them');
  if (rest.length > 0) throw usageFailure(`cannot run: ${rest.join(' ')} is more than one node`);
  return node;
}

type Inventory = { inventory: Record<string, unknown>; plugin_data: Record<string, unknown> };

async function inventoryOf(client: Client, ident: string): Promise<Inventory | undefined> {
  try {
    return await client.get<Inventory>(`${nodePath(ident)}/inventory`);
  } catch (error) {
    if (error instanceof Failure && error.code === 'REFUSED') return undefined;
    throw error;
  }
}

export const listCommand = defineCommand({
  summary: 'Lists the nodes with their states.',
  usage: '[--state STATE]',
  options: {
    ...API_OPTIONS,
    state: { type: 'string', placeholder: 'STATE', help: 'only nodes in this provision state' },
  },
  run: async ({ stdout, signal }, values) => {
    const client = connect(values.api, signal);
    const filter = values.state === undefined ? '' : `&provision_state=${encodeURIComponent(values.state)}`;
    const { nodes } = await client.get<{ nodes: NodeJson[] }>(`/v1/nodes?detail=true${filter}`);
    if (values.json) printJson(stdout, nodes);
    else stdout.write(nodes.length === 0 ? 'no nodes; ingot node create makes one\n' : nodeTable(nodes));
    return 0;
  },
});

export const showCommand = defineCommand({
  summary: 'Shows one node: state, progress, last error, hardware.',
  usage: 'NODE',
  options: API_OPTIONS,
  run: async ({ stdout, signal }, values, positionals) => {
    const client = connect(values.api, signal);
    const ident = oneNode(positionals);
    const node = await client.node(ident);
    if (values.json) {
      printJson(stdout, node);
      return 0;
    }
    const { ports } = await client.get<{ ports: { address: string }[] }>(`${nodePath(ident)}/ports`);
    const found = await inventoryOf(client, ident);
    stdout.write(
      nodeText(
        node,
        ports.map((port) => port.address),
        found?.inventory,
      ),
    );
    return 0;
  },
});

export const inventoryCommand = defineCommand({
  summary: 'Prints what the last inspection of a node found, as JSON.',
  usage: 'NODE',
  options: API_OPTIONS,
  run: async ({ stdout, signal }, values, positionals) => {
    printJson(stdout, await connect(values.api, signal).get(`${nodePath(oneNode(positionals))}/inventory`));
    return 0;
  },
});

export const deleteCommand = defineCommand({
  summary: 'Removes the record of a node. The machine itself is not touched.',
  usage: 'NODE [--force]',
  details: [
    'It is refused while the node is active or something is under way: undeploy it',
    'first, or abort what is under way. --force removes the record all the same: the',
    'machine then goes on with what it does, and its disk is not cleaned.',
  ],
  options: { ...API_OPTIONS, force: { type: 'boolean', help: 'in every state; see above' } },
  run: async ({ stdout, signal }, values, positionals) => {
    const client = connect(values.api, signal);
    const node = await client.node(oneNode(positionals));
    await client.send('DELETE', `${nodePath(node.uuid)}${values.force ? '?force=true' : ''}`);
    if (values.json) printJson(stdout, { deleted: node.uuid, name: node.name });
    else stdout.write(`node ${node.name ?? node.uuid} is removed\n`);
    return 0;
  },
});
