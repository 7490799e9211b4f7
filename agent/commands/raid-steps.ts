import type { Node } from '../api/command.ts';
import { AgentError } from '../api/errors.ts';
import { flagOf } from '../api/flag.ts';
import { dryRunOf } from './dry-run.ts';
import type { CommandContext, StepSpec } from '../engine/command-table.ts';
import { isSoftwareRaid, readRaidConfig } from '../raid/config.ts';
import type { DeletionPreview } from '../raid/preview.ts';
import { describePlan } from '../raid/plan.ts';
import { createConfiguration, deleteConfiguration, previewConfiguration, previewDeletionOf } from '../raid/raid.ts';
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

/** As delete_configuration, or what that would do. */
async function deleteOrTell(
  deps: AgentDeps,
  node: Node,
  args: Record<string, unknown>,
  context: CommandContext,
): Promise<DeletionPreview | null> {
  return dryRunOf(args) ? previewDeletionOf(deps.os, node, guardsOf(deps)) : deleteArrays(deps, node, context);
}

async function createOrTell(
  deps: AgentDeps,
  node: Node,
  {
    args,
    raidConfig,
    deletion,
  }: { args: Record<string, unknown>; raidConfig: unknown; deletion?: DeletionPreview | undefined },
  context: CommandContext,
): Promise<unknown> {
  if (!dryRunOf(args) || !isSoftwareRaid(raidConfig)) return create(deps, node, raidConfig, context);
  const preview = await previewConfiguration(deps.os, node, raidConfig, guardsOf(deps), deletion);
  preview.lines.forEach((line) => context.log(`would make ${line}`));
  return preview;
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
  const { raid_config: raidConfig } = args;
  const deletes = flagOf(args['delete_existing'] ?? true);
  if (deletes === undefined)
    throw new AgentError('InvalidCommandParamsError', 'cannot use delete_existing: it is neither true nor false');
  const skipped = JSON.stringify(node.properties?.['skip_block_devices'] ?? []);
  if (isSoftwareRaid(raidConfig)) readRaidConfig(raidConfig, { needsNames: skipped.includes('"volume_name"') });
  const deletion = deletes ? await deleteOrTell(deps, node, args, context) : null;
  return createOrTell(deps, node, { args, raidConfig, deletion: deletion ?? undefined }, context);
}

const DRY_RUN = {
  dry_run: {
    description: 'True: say what would be made or deleted and how long it would take, and change nothing.',
    required: false,
  },
};

/** Software RAID (agent-protocol F.6). */
export const RAID_STEPS: readonly StepSpec<AgentDeps>[] = [
  {
    step: 'delete_configuration',
    interface: 'raid',
    priorities: { clean: 0, service: 0 },
    abortable: true,
    argsinfo: DRY_RUN,
    run: (deps, { node, args }, context) => deleteOrTell(deps, node, args, context),
  },
  {
    step: 'create_configuration',
    interface: 'raid',
    priorities: { clean: 0, service: 0 },
    abortable: true,
    argsinfo: DRY_RUN,
    run: (deps, { node, args }, context) =>
      createOrTell(deps, node, { args, raidConfig: node.target_raid_config }, context),
  },
  {
    step: 'apply_configuration',
    interface: 'raid',
    priorities: { deploy: 0, service: 0 },
    argsinfo: {
      ...DRY_RUN,
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
