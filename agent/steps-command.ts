import type { AgentDeps } from './commands/deps.ts';
import { makeConfig } from './config/config.ts';
import { STEP_KINDS, type StepManager, type StepSpec } from './engine/command-table.ts';
import { stepsByManager, versionsOf } from './engine/managers.ts';
import { findManagers } from './managers.ts';
import { systemOs } from './os/system.ts';

function describeStep(spec: StepSpec<AgentDeps>): string {
  const kinds = STEP_KINDS.flatMap((kind) => {
    const priority = spec.priorities[kind];
    return priority === undefined ? [] : [`${kind} ${priority}`];
  });
  const marks = [...(spec.rebootRequested ? ['reboot'] : []), ...(spec.abortable ? ['abortable'] : [])];
  const args = Object.entries(spec.argsinfo ?? {}).map(
    ([name, { description, required }]) => `      ${name}${required ? ' (required)' : ''}: ${description}`,
  );
  return [`  ${spec.step}  ${spec.interface}  ${[...kinds, ...marks].join(', ')}`, ...args].join('\n');
}

/** The managers with their steps for people. */
async function describeManagers(
  managers: readonly StepManager<AgentDeps>[],
  deps: Pick<AgentDeps, 'os' | 'config'>,
): Promise<string> {
  const blocks = await Promise.all(
    managers.map(async (manager) => {
      const steps = await manager.steps(deps as AgentDeps);
      return [`${manager.name} ${manager.version}, support ${manager.support}`, ...steps.map(describeStep)].join('\n');
    }),
  );
  return `${blocks.join('\n')}\n`;
}

/**
 * `ingot-agent steps [FOLDER] [--json]`: the steps that this agent would offer, with the plug-ins of a folder; nothing of them is
 * run but the question whether they are for this machine.
 * @returns 1 when a plug-in cannot be used
 */
export async function showSteps(options: {
  folder: string | undefined;
  stdout: { write: (text: string) => unknown };
  stderr: { write: (text: string) => unknown };
  json: boolean;
  signal: AbortSignal;
}): Promise<number> {
  const { folder, json, stdout, stderr, signal } = options;
  const os = systemOs();
  const broken: string[] = [];
  const managers = await findManagers(
    {
      os,
      log: (line) => void stderr.write(`${line}\n`),
      onBroken: (name) => broken.push(name),
      signal,
    },
    folder,
  );
  const deps = { os, config: makeConfig(new Map()) };
  if (json) {
    const lists = await Promise.all(
      STEP_KINDS.map(async (kind) => [`${kind}_steps`, await stepsByManager(kind, managers, deps as AgentDeps)]),
    );
    const shown = { ...Object.fromEntries(lists), hardware_manager_version: versionsOf(managers), broken };
    stdout.write(`${JSON.stringify(shown, null, 1)}\n`);
  } else stdout.write(await describeManagers(managers, deps));
  return broken.length === 0 ? 0 : 1;
}
