import { isDeepStrictEqual } from 'node:util';
import { Type } from 'typebox';

import { type Node, NodeSchema, type RequestedStep, RequestedStepSchema } from '../api/command.ts';
import { AgentError, type AgentErrorType } from '../api/errors.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import {
  type CommandContext,
  type CommandSpec,
  STEP_KINDS,
  type StepKind,
  type StepManager,
  type StepRequest,
  type StepSpec,
} from './command-table.ts';
import { type Candidate, candidates, stepsByManager, versionsOf } from './managers.ts';

/** The agent's own steps: name and version are those of IPA's generic manager, which a conductor may know already. */
export const HARDWARE_MANAGER_VERSION = { generic_hardware_manager: '1.2' };

/** What a step's failure is called that has no name of its own. */
export const STEP_ERRORS: Record<StepKind, AgentErrorType> = {
  clean: 'CleaningError',
  deploy: 'DeploymentError',
  service: 'ServicingError',
};

const PortsSchema = Type.Array(Type.Record(Type.String(), Type.Unknown()));
type Ports = Record<string, unknown>[];

function checkVersion(wanted: unknown, actual: Record<string, string>): void {
  if (wanted === undefined || wanted === null || isDeepStrictEqual(wanted, actual)) return;
  throw new AgentError(
    'VersionMismatch',
    `the conductor's step list is for ${JSON.stringify(wanted)}, this agent has ${JSON.stringify(actual)}`,
  );
}

function checkArgs<Deps>(kind: StepKind, spec: StepSpec<Deps>, args: Record<string, unknown>): void {
  const known = spec.argsinfo ?? {};
  const unknown = Object.keys(args).filter((key) => !Object.hasOwn(known, key));
  const missing = Object.entries(known)
    .filter(([key, info]) => info.required === true && !Object.hasOwn(args, key))
    .map(([key]) => key);
  const complaints = [
    ...(unknown.length > 0 ? [`unknown argument ${unknown.join(', ')}`] : []),
    ...(missing.length > 0 ? [`missing argument ${missing.join(', ')}`] : []),
  ];
  if (complaints.length === 0) return;
  const takes = Object.keys(known).join(', ') || 'none';
  throw new AgentError(
    STEP_ERRORS[kind],
    `cannot run step ${spec.step}: ${complaints.join('; ')}; its arguments are: ${takes}`,
  );
}

/** Typed errors pass; anything else is the kind's own error, with the class that a developer looks for. */
function stepError(kind: StepKind, name: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const hint = error instanceof Failure && error.hint !== undefined ? `; try: ${error.hint}` : '';
  const what = error instanceof Failure ? '' : `${error instanceof Error ? error.name : 'Error'}: `;
  return new AgentError(STEP_ERRORS[kind], `step ${name} failed: ${what}${reasonOf(error)}${hint}`, { cause: error });
}

/**
 * Runs a step by whoever knows this machine best; one who finds that it is not for this hardware leaves it to the next.
 * @throws AgentError `HardwareManagerMethodNotFound` when nobody is left
 */
async function runStep<Deps>(
  name: string,
  offered: ReadonlyMap<string, readonly Candidate<Deps>[]>,
  deps: Deps,
  request: StepRequest,
  context: CommandContext,
): Promise<unknown> {
  const { kind, args } = request;
  const refusals: string[] = [];
  for (const { manager, spec } of offered.get(name) ?? []) {
    checkArgs(kind, spec, args);
    try {
      return await spec.run(deps, request, context);
    } catch (error) {
      if (!(error instanceof AgentError && error.type === 'IncompatibleHardwareMethodError'))
        throw stepError(kind, name, error);
      refusals.push(`${manager.name}: ${error.details}`);
      context.log(`step ${name} is not for ${manager.name}: ${error.details}`);
    }
  }
  const why =
    refusals.length > 0
      ? `nobody has it for this hardware (${refusals.join('; ')})`
      : `this agent has no such step; it has ${[...offered.keys()].join(', ') || 'none'}`;
  throw new AgentError('HardwareManagerMethodNotFound', `cannot run ${kind} step ${name}: ${why}`);
}

/** Whose steps these commands are about, and who remembers the node that came with one: it is newer than that of the lookup. */
export type StepSource<Deps> = {
  managers: (deps: Deps) => readonly StepManager<Deps>[];
  cacheNode: (deps: Deps, node: Node) => void;
};

type ExecuteParams = { step: RequestedStep; node: Node; ports: Ports } & Record<string, unknown>;

function executeCommand<Deps>(kind: StepKind, source: StepSource<Deps>): CommandSpec<Deps> {
  const versionKey = `${kind}_version`;
  return {
    name: `${kind}.execute_${kind}_step`,
    mode: 'async',
    summary: `Runs one ${kind} step.`,
    params: Type.Object(
      {
        step: RequestedStepSchema,
        node: NodeSchema,
        ports: PortsSchema,
        [versionKey]: Type.Optional(Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()])),
      },
      // The conductor may hand over further keyword arguments of the step beside its `args`.
      { additionalProperties: true },
    ),
    run: async (deps, params: ExecuteParams, context) => {
      const { step, node, ports, [versionKey]: version, ...rest } = params;
      const managers = source.managers(deps);
      source.cacheNode(deps, node);
      checkVersion(version, versionsOf(managers));
      const offered = await candidates(kind, managers, deps);
      const request: StepRequest = { kind, node, ports, args: { ...step.args, ...rest } };
      const shape = (result: unknown) => ({ [`${kind}_result`]: result ?? null, [`${kind}_step`]: step });
      try {
        return shape(await runStep(step.step, offered, deps, request, context));
      } catch (error) {
        if (!(error instanceof AgentError) || error.result === undefined) throw error;
        const { type, details, result, cause } = error;
        throw new AgentError(type, details, { cause, result: shape(result) });
      }
    },
  };
}

function listCommand<Deps>(kind: StepKind, source: StepSource<Deps>): CommandSpec<Deps> {
  return {
    name: `${kind}.get_${kind}_steps`,
    mode: 'sync',
    summary: `Lists the ${kind} steps that this agent has.`,
    params: Type.Object({ node: NodeSchema, ports: PortsSchema }),
    run: async (deps, params: { node: Node }) => {
      const managers = source.managers(deps);
      source.cacheNode(deps, params.node);
      return {
        [`${kind}_steps`]: await stepsByManager(kind, managers, deps),
        hardware_manager_version: versionsOf(managers),
      };
    },
  };
}

/** The commands `{clean,deploy,service}.{get,execute}_*_step[s]`. */
export function stepCommands<Deps>(source: StepSource<Deps>): CommandSpec<Deps>[] {
  return STEP_KINDS.flatMap((kind) => [listCommand(kind, source), executeCommand(kind, source)]);
}
