import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { CommandResult } from '../../../agent/api/command.ts';
import type { AgentDeps } from '../../../agent/commands/deps.ts';
import { COMMANDS, GENERIC, STEPS } from '../../../agent/commands/table.ts';
import type { CommandContext, CommandSpec, StepManager } from '../../../agent/engine/command-table.ts';
import { stepCommands } from '../../../agent/engine/steps.ts';
import { readManifest } from '../../../agent/plugins/manifest.ts';
import { pluginManager } from '../../../agent/plugins/plugin.ts';
import { realHardware } from '../../../agent/start.ts';
import { fakeOs } from '../../fakes/agent-os.ts';
import { fastClock } from '../../fakes/clock.ts';
import { machineOs } from '../../fakes/machine.ts';
import { type Exchange, type RecordedIronic, startRecordedIronic } from '../../fakes/recorded-ironic.ts';
import { unexplained } from './compare.ts';
import { FROM_OLDER } from './differences.ts';
import { FIXTURES, recording, replay } from './replay.ts';
import { isRoot, ownNetwork, requestId, startReplayedAgent } from './replayed-agent.ts';

const OWN = readdirSync(FIXTURES)
  .filter((name) => name.startsWith('ingot-'))
  .map((name) => name.replace(/\.json$/, ''));

/** A crypt(3) hash, as Ironic sends it. */
const PASSWORD = '$6$saltsalt$hashhashhashhashhashhashhashhashhashhash';

let ironic: RecordedIronic;
let stateDirectory: string;
let stop: () => Promise<void>;
beforeEach(async () => {
  ironic = await startRecordedIronic();
  stateDirectory = await mkdtemp(join(tmpdir(), 'ingot-replay-'));
  stop = async () => undefined;
});
afterEach(async () => {
  await stop();
  await ironic.close();
  await rm(stateDirectory, { recursive: true });
});

const nameOf = (exchange: Exchange): string => (exchange.requestBody as { name?: string } | null)?.name ?? '';

/** Results of the commands in a recording: those that ran in the background, in their order, are in the lists. */
function resultsOf(exchanges: readonly Exchange[]): CommandResult[] {
  const lists = exchanges.flatMap(
    ({ responseBody }) => (responseBody as { commands?: CommandResult[] } | null)?.commands ?? [],
  );
  return [
    ...new Map(
      lists.filter((result) => result.command_status !== 'RUNNING').map((result) => [result.id, result]),
    ).values(),
  ];
}

/** The documentation's plug-ins that the recorded ramdisk had, as they are. */
function pluginsOf(exchanges: readonly Exchange[]): StepManager<AgentDeps>[] {
  const versions = resultsOf(exchanges).map(
    ({ command_result }) => (command_result as { hardware_manager_version?: object } | null)?.hardware_manager_version,
  );
  const names = new Set(versions.flatMap((version) => Object.keys(version ?? {})));
  names.delete(GENERIC.name);
  return [...names].map((name) => {
    const folder = `docs/examples/steps/${name}/files/etc/ingot/steps.d`;
    return pluginManager(name, readManifest(readFileSync(join(folder, `${name}.json`), 'utf8')), folder);
  });
}

/**
 * Commands that work on a machine end here when the recording says that they did, and as it says. The rest, and all that is said
 * about any of them, is the agent's own.
 */
function gatedCommands(exchanges: readonly Exchange[]) {
  const ended = resultsOf(exchanges);
  let running: ((result: CommandResult) => void) | undefined;
  const wait = (context: CommandContext): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      running = resolve;
      context.signal.addEventListener('abort', () => reject(context.signal.reason as Error));
    });
  const run = async (_deps: AgentDeps, _request: unknown, context: CommandContext): Promise<unknown> => {
    const { command_result: result } = await wait(context);
    return Object.entries(result as object).find(([key]) => key.endsWith('_result'))?.[1];
  };
  const managers = [{ ...GENERIC, steps: async () => STEPS }, ...pluginsOf(exchanges)].map((manager) => ({
    ...manager,
    steps: async (deps: AgentDeps) => (await manager.steps(deps)).map((spec) => ({ ...spec, run })),
  }));
  const answered = (name: string): unknown =>
    (exchanges.find((exchange) => nameOf(exchange) === name)?.responseBody as CommandResult | undefined)
      ?.command_result;
  const own = COMMANDS.map((spec): CommandSpec<AgentDeps> => {
    if (/^standby\.get_partition_uuids$/.test(spec.name)) return { ...spec, run: async () => answered(spec.name) };
    const isLong = spec.mode === 'async' && /^(standby|image)\./.test(spec.name);
    return isLong ? { ...spec, run: async (_deps, _params, context) => (await wait(context)).command_result } : spec;
  });
  const gated = stepCommands<AgentDeps>({
    managers: () => managers,
    cacheNode: (deps, node) => (deps.node.current = node),
  });
  return {
    commands: own.map((spec) => gated.find(({ name }) => name === spec.name) ?? spec),
    /** Ends what runs now if the next list of the recording has it ended. */
    before: (index: number): void => {
      const next = exchanges
        .slice(index)
        .find(({ responseBody }) => (responseBody as { commands?: unknown } | null)?.commands);
      const last = (next?.responseBody as { commands: CommandResult[] } | undefined)?.commands.at(-1);
      const result = ended.find(({ id }) => id === last?.id);
      const isBeat = exchanges[index]?.path.startsWith('/v1/heartbeat/') === true;
      if (!isBeat || (next !== undefined && last?.command_status === 'RUNNING')) return;
      running?.(result ?? { ...(last as CommandResult), command_result: null });
      running = undefined;
    },
  };
}

const isLookup = ({ path }: Exchange): boolean => path.startsWith('/v1/lookup');

/** A flow may start the ramdisk several times; each start has a token of its own, and is another agent. */
function bootsOf(recorded: readonly Exchange[]): Exchange[][] {
  const boots: Exchange[][] = [[]];
  for (const exchange of recorded) {
    const boot = boots.at(-1) ?? [];
    const token = (exchange.responseBody as { config?: { agent_token?: string } } | null)?.config?.agent_token;
    if (isLookup(exchange) && token !== '******' && boot.some(isLookup))
      boots.push(boot.at(-1)?.path === '/' ? boot.splice(-1) : []);
    boots.at(-1)?.push(exchange);
  }
  // How often the root is asked depends on what is known of address and clock; the first time is for the version.
  return boots.map((boot) => boot.filter(({ path }, index) => path !== '/' || index === 0));
}

async function replayBoot(exchanges: readonly Exchange[], stateFolder: string): Promise<string[]> {
  const queries = exchanges.filter(isLookup).map(({ path }) => new URL(path, 'http://a').searchParams);
  const macs = queries[0]?.get('addresses')?.split(',');
  const isInspection = exchanges.some(({ path }) => path === '/v1/continue_inspection');
  // An agent that leaves waits a little for whoever reads its answer: not so little that a busy machine makes it none.
  const isLeaving = exchanges.some((exchange) => /^(rescue|system)\./.test(nameOf(exchange)));
  const clock = fastClock(isLeaving ? 5 : 100);
  const os = isInspection ? { ...machineOs('qemu-q35-trixie'), clock } : fakeOs({ clock });
  const { commands, before } = gatedCommands(exchanges);
  const words = [
    ...(isInspection ? [`ipa-inspection-callback-url=${ironic.url}/v1/continue_inspection`] : []),
    ...(macs === undefined ? [] : [`ipa-api-url=${ironic.url}`]),
    requestId(exchanges),
  ];
  stop = await startReplayedAgent({
    cmdline: words.join(' '),
    os,
    stateDirectory: stateFolder,
    commands,
    hardware: {
      ...(isInspection && realHardware(os, { bootInterface: undefined }, ownNetwork(os))),
      ...(macs !== undefined && { macs: async () => macs }),
    },
  });
  const { differences } = await replay(exchanges, ironic, isRoot, before);
  await stop();
  return unexplained(differences, FROM_OLDER);
}

test.each(OWN)(
  '%s: what this agent and Ironic said to each other, they say again',
  { timeout: 60_000 },
  async (name) => {
    const recorded = recording(name, { '<RESCUE_PASSWORD_1>': PASSWORD });
    const differences: string[] = [];
    for (const [index, boot] of bootsOf(recorded).entries())
      differences.push(...(await replayBoot(boot, join(stateDirectory, String(index)))));
    expect(differences).toEqual([]);
  },
);
