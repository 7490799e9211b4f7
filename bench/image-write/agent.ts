import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { bundleAgent, CHECKOUT } from '../../builder/agent.ts';
import { benchFailure } from '../failures.ts';

/** How the ramdisk starts its agent: what it exports, and the options of Node. */
export type AgentStart = { env: Record<string, string>; nodeOptions: string };

/** Reads both from the script that does it, so that the bench goes by what really runs. */
export function parseAgentStart(script: string): AgentStart | undefined {
  const nodeOptions = /^node='\S+ (?<options>[^']+)'$/m.exec(script)?.groups?.['options'];
  const exports = [...script.matchAll(/^export (?<words>.+)$/gm)].flatMap(
    ({ groups }) => groups?.['words']?.split(' ') ?? [],
  );
  const env = Object.fromEntries(
    exports.flatMap((word) => {
      const [, name = '', value = ''] = /^((?:UV|MALLOC)_\w+)=(\S+)$/.exec(word) ?? [];
      return name === '' ? [] : [[name, value]];
    }),
  );
  return nodeOptions === undefined ? undefined : { env, nodeOptions };
}

/** Puts the agent into a folder as the ramdisk has it: bundled, and started with the same options. */
export async function prepareAgent(folder: string): Promise<AgentStart & { path: string }> {
  const script = join('elements', 'agent', 'files', 'etc', 'ingot', 'agent');
  const start = parseAgentStart(await readFile(join(CHECKOUT, script), 'utf8'));
  if (!start) throw benchFailure('NO_AGENT', `${script} has no line that starts Node`);
  const { entries } = await bundleAgent(join('agent', 'main.ts'), join('agent', 'agent.cjs'));
  await mkdir(folder, { recursive: true });
  for (const { path, content } of entries)
    if (content.kind === 'bytes') await writeFile(join(folder, basename(path)), content.bytes);
  return { ...start, path: join(folder, 'agent.cjs') };
}
