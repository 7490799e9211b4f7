import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import type { CommandContext, StepSpec } from '../engine/command-table.ts';
import { isSoftwareRaid, readRaidConfig } from '../raid/config.ts';
import { describePlan } from '../raid/plan.ts';
import { createConfiguration, deleteConfiguration } from '../raid/raid.ts';
import type { AgentDeps } from './deps.ts';

const guardsOf = ({ config }: AgentDeps) => ({
  guardShared: config.guardSpecialFilesystems,
  guardContents: [],
  guardRemovable: false,
});

function narrate(phase: string, context: CommandContext) {
  return {
    log: context.log,
    step: (done: number, total: number, what: string) =>
      context.progress({ phase, done, total, unit: 'parts', ...(what !== '' && { message: what }) }),
  };
}

async function deleteArrays(deps: AgentDeps, node: Node, context: CommandContext): Promise<null> {
  context.progress({ phase: 'delete software RAID' });
  await deleteConfiguration(deps.os, node, guardsOf(deps), narrate('delete software RAID', context));
  return null;
}

async function create(deps: AgentDeps, node: Node, raidConfig: unknown, context: CommandContext): Promise<unknown> {
  if (!isSoftwareRaid(raidConfig)) {
    context.log('no software RAID is wanted: no logical disk has the controller "software"');
    return {};
  }
  context.progress({ phase: 'create software RAID' });
  return createConfiguration(deps.os, node, raidConfig as Record<string, unknown>, guardsOf(deps), {
    ...narrate('create software RAID', context),
    plan: (plan) => describePlan(plan).forEach((line) => context.log(line)),
  });
}

/** What is wrong with a configuration is said before the old one is deleted. */
async function apply(
  deps: AgentDeps,
  node: Node,
  args: Record<string, unknown>,
  context: CommandContext,
): Promise<unknown> {
  const { raid_config: raidConfig, delete_existing: deletes = true } = args;
  if (typeof deletes !== 'boolean' && !/^(?:true|false)$/i.test(String(deletes)))
    throw new AgentError('InvalidCommandParamsError', 'cannot use delete_existing: it is neither true nor false');
  const skipped = JSON.stringify(node.properties?.['skip_block_devices'] ?? []);
  if (isSoftwareRaid(raidConfig)) readRaidConfig(raidConfig, { needsNames: skipped.includes('"volume_name"') });
  if (String(deletes).toLowerCase() === 'true') await deleteArrays(deps, node, context);
  return create(deps, node, raidConfig, context);
}

/** Software RAID (agent-protocol F.6). */
export const RAID_STEPS: readonly StepSpec<AgentDeps>[] = [
  {
    step: 'delete_configuration',
    interface: 'raid',
    priorities: { clean: 0, service: 0 },
    abortable: true,
    run: (deps, { node }, context) => deleteArrays(deps, node, context),
  },
  {
    step: 'create_configuration',
    interface: 'raid',
    priorities: { clean: 0, service: 0 },
    abortable: true,
    run: (deps, { node }, context) => create(deps, node, node.target_raid_config, context),
  },
  {
    step: 'apply_configuration',
    interface: 'raid',
    priorities: { deploy: 0, service: 0 },
    argsinfo: {
      raid_config: {
        description: 'The RAID configuration to apply, in the form of target_raid_config.',
        required: true,
      },
      delete_existing: {
        description: 'Whether arrays that are there are deleted before; true unless said.',
        required: false,
      },
    },
    run: (deps, { node, args }, context) => apply(deps, node, args, context),
  },
];
