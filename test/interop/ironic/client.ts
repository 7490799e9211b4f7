import { setTimeout as sleep } from 'node:timers/promises';

import type { Progress } from '../../../cli/progress.ts';
import { reasonOf } from '../../../system/failure.ts';
import type { Run } from '../../../system/run.ts';
import { interopFailure } from './failures.ts';
import { API, NODE } from './names.ts';
import type { Tree } from './services.ts';

export type NodeView = {
  uuid: string;
  provision_state: string;
  power_state: string | null;
  last_error: string | null;
  properties: Record<string, unknown>;
  driver_internal_info: Record<string, unknown>;
  parent_node: string | null;
};

/** The stock client, `baremetal`, as an operator has it. */
export type Client = {
  /** @throws Failure `CLIENT` with its own words and what the node says */
  run: (...args: string[]) => Promise<string>;
  /** With `-f json`, parsed. */
  json: (...args: string[]) => Promise<unknown>;
  /** The node as the API has it now. */
  node: () => Promise<NodeView | undefined>;
};

export async function nodeView(): Promise<NodeView | undefined> {
  const headers = { 'X-OpenStack-Ironic-API-Version': '1.96' };
  const answer = await fetch(`${API}/v1/nodes/${NODE}`, { headers }).catch(() => undefined);
  return answer?.ok === true ? ((await answer.json()) as NodeView) : undefined;
}

/** The last words of the client, without the command line that they answer. */
function lastWords(error: unknown): string {
  return reasonOf(error).split('\n').slice(1).join(' ').trim() || reasonOf(error);
}

export function createClient(tree: Tree, { run, signal }: { run: Run; signal: AbortSignal }): Client {
  const env = { OS_AUTH_TYPE: 'none', OS_ENDPOINT: API };
  const baremetal: Client['run'] = async (...args) => {
    const [file, ...words] = tree.command('baremetal', args, env);
    try {
      return (await run(file, words, { signal })).stdout;
    } catch (error) {
      signal.throwIfAborted();
      const node = await nodeView();
      const state = node === undefined ? '' : ` (node: ${node.provision_state}; ${node.last_error ?? 'no last error'})`;
      const command = `baremetal ${args.slice(0, 2).join(' ')}`;
      throw interopFailure('CLIENT', `${command}: ${lastWords(error)}${state}`, { cause: error });
    }
  };
  return {
    run: baremetal,
    json: async (...args) => JSON.parse(await baremetal(...args, '-f', 'json')) as unknown,
    node: nodeView,
  };
}

/** Shows the node's state, and tells it, while `work` goes on. */
export async function watched<T>(
  progress: Progress,
  serial: () => string,
  observe: (node: NodeView) => void,
  work: () => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const watch = async () => {
    while (!stop.signal.aborted) {
      const node = await nodeView();
      if (node !== undefined) {
        observe(node);
        progress.update({
          phase: node.provision_state,
          message: `${node.power_state ?? '-'}  ${serial().slice(0, 70)}`,
        });
      }
      await sleep(1000, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  const watching = watch();
  try {
    return await work();
  } finally {
    stop.abort();
    await watching;
  }
}
