import { defineCommand } from '../cli/command.ts';
import { usageFailure } from '../cli/options.ts';
import { plansText } from '../cli/plans.ts';
import type { Program } from '../cli/program.ts';
import { collectInventory } from './hardware/inventory.ts';
import type { Node } from './api/command.ts';
import { STEPS } from './commands/table.ts';
import { loadAll } from './config/load.ts';
import type { AgentOs } from './os/door.ts';
import { systemOs } from './os/system.ts';

/** Steps that can say what they would do. */
const PLANNED = STEPS.filter(({ argsinfo }) => Object.hasOwn(argsinfo ?? {}, 'dry_run'));
const NAMES = PLANNED.map(({ step }) => step);

function readNode(text: string | undefined): Partial<Node> {
  if (text === undefined) return {};
  try {
    const node: unknown = JSON.parse(text);
    if (typeof node === 'object' && node !== null && !Array.isArray(node)) return node;
  } catch {
    // Said below.
  }
  throw usageFailure(`cannot use --node ${text}: it is no JSON object`, '--node \'{"target_raid_config": {…}}\'');
}

/**
 * What a step would do to this machine, as its argument `dry_run` has it answered.
 * @throws AgentError as the step does
 */
export async function planStep(
  { os, log, signal }: { os: AgentOs; log: (line: string) => void; signal: AbortSignal },
  name: string,
  given: Partial<Node>,
): Promise<unknown> {
  const spec = PLANNED.find(({ step }) => step === name);
  if (spec === undefined) throw usageFailure(`cannot plan ${name}: the steps with a plan are ${NAMES.join(', ')}`);
  const { config } = await loadAll(os, { kernelParameters: undefined, useMedia: false });
  const node: Node = { uuid: '', ...given };
  const deps = {
    os,
    config,
    node: { current: node },
    inventory: () => collectInventory(os, undefined),
    refreshNode: async () => undefined,
    recentLog: () => [],
  };
  const args = { dry_run: true, raid_config: node.target_raid_config };
  return spec.run(deps, { kind: 'clean', node, ports: [], args }, { signal, log, progress: () => undefined });
}

async function showPlan(
  { stdout, stderr, signal }: Program,
  name: string,
  values: { json: boolean; node: string | undefined },
): Promise<number> {
  const log = (line: string) => void stderr.write(values.json ? '' : `${line}\n`);
  const plan = await planStep({ os: systemOs(), log, signal }, name, readNode(values.node));
  stdout.write(values.json ? `${JSON.stringify(plan, null, 1)}\n` : plansText([{ step: name, plan }]));
  return 0;
}

/** `ingot-agent plan`: changes nothing on any disk. */
export const planCommand = defineCommand({
  summary: 'Shows what erasing or RAID would do to each disk of this machine, and how long it takes.',
  usage: '[STEP] [--json] [--node JSON]',
  details: [
    `STEP is one of ${NAMES.slice(0, 3).join(', ')},`,
    `${NAMES.slice(3).join(', ')}; erase_devices unless said.`,
    'Nothing is written to any disk. The steps of RAID start the arrays that there are,',
    'reading only, because they have to know them.',
  ],
  options: {
    json: { type: 'boolean', help: 'the plan as JSON, as it stands in the step’s result' },
    node: {
      type: 'string',
      placeholder: 'JSON',
      help: 'what the node would be: driver_internal_info with settings, properties, target_raid_config',
    },
  },
  run: (program, values, positionals) => {
    const [name = 'erase_devices', ...surplus] = positionals;
    if (surplus.length > 0) throw usageFailure(`cannot understand "${surplus.join(' ')}"`, 'see --help');
    return showPlan(program, name, values);
  },
});
