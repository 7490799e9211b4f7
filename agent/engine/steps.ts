import { isDeepStrictEqual } from 'node:util';
import { Type } from 'typebox';

import { type Node, NodeSchema, type RequestedStep, RequestedStepSchema, type Step } from '../api/command.ts';
import { AgentError, type AgentErrorType } from '../api/errors.ts';
import { Failure, reasonOf } from '../../system/failure.ts';
import { type CommandSpec, STEP_KINDS, type StepKind, type StepSpec } from './command-table.ts';

/** Versions that Ironic remembers with the step list and sends back with each step: those of IPA's generic manager. */
export const HARDWARE_MANAGER_VERSION = { generic_hardware_manager: '1.2' };
const MANAGER_CLASS = 'GenericHardwareManager';

const STEP_ERRORS: Record<StepKind, AgentErrorType> = {
  clean: 'CleaningError',
  deploy: 'DeploymentError',
  service: 'ServicingError',
};

const PortsSchema = Type.Array(Type.Record(Type.String(), Type.Unknown()));
type Ports = Record<string, unknown>[];

/** The steps of a kind as the conductor wants them, in the table's order. */
export function listSteps<Deps>(kind: StepKind, steps: readonly StepSpec<Deps>[]): Step[] {
  return steps.flatMap((spec) => {
    const priority = spec.priorities[kind];
    if (priority === undefined) return [];
    return [
      {
        step: spec.step,
        priority,
        interface: spec.interface,
        reboot_requested: spec.rebootRequested ?? false,
        abortable: spec.abortable ?? false,
        ...(spec.argsinfo && { argsinfo: spec.argsinfo }),
      },
    ];
  });
}

function checkVersion(wanted: unknown): void {
  if (wanted === undefined || wanted === null || isDeepStrictEqual(wanted, HARDWARE_MANAGER_VERSION)) return;
  throw new AgentError(
    'VersionMismatch',
    `the conductor's step list is for ${JSON.stringify(wanted)}, this agent has ${JSON.stringify(HARDWARE_MANAGER_VERSION)}`,
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

function findStep<Deps>(kind: StepKind, steps: readonly StepSpec<Deps>[], name: string): StepSpec<Deps> {
  const spec = steps.find((candidate) => candidate.step === name && candidate.priorities[kind] !== undefined);
  if (spec !== undefined) return spec;
  const offered = listSteps(kind, steps)
    .map((step) => step.step)
    .join(', ');
  throw new AgentError(
    'HardwareManagerMethodNotFound',
    `cannot run ${kind} step ${name}: this agent has no such step; it has ${offered || 'none'}`,
  );
}

/** Typed errors pass; anything else is the kind's own error, with the class that a developer looks for. */
function stepError(kind: StepKind, name: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const hint = error instanceof Failure && error.hint !== undefined ? `; try: ${error.hint}` : '';
  const what = error instanceof Failure ? '' : `${error instanceof Error ? error.name : 'Error'}: `;
  return new AgentError(STEP_ERRORS[kind], `step ${name} failed: ${what}${reasonOf(error)}${hint}`, { cause: error });
}

type ExecuteParams = { step: RequestedStep; node: Node; ports: Ports } & Record<string, unknown>;

function executeCommand<Deps>(
  kind: StepKind,
  steps: readonly StepSpec<Deps>[],
  cacheNode: (deps: Deps, node: Node) => void,
): CommandSpec<Deps> {
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
      cacheNode(deps, node);
      checkVersion(version);
      const spec = findStep(kind, steps, step.step);
      const args = { ...step.args, ...rest };
      checkArgs(kind, spec, args);
      try {
        const result = await spec.run(deps, { node, ports, args }, context);
        return { [`${kind}_result`]: result ?? null, [`${kind}_step`]: step };
      } catch (error) {
        throw stepError(kind, step.step, error);
      }
    },
  };
}

function listCommand<Deps>(
  kind: StepKind,
  steps: readonly StepSpec<Deps>[],
  cacheNode: (deps: Deps, node: Node) => void,
): CommandSpec<Deps> {
  return {
    name: `${kind}.get_${kind}_steps`,
    mode: 'sync',
    summary: `Lists the ${kind} steps that this agent has.`,
    params: Type.Object({ node: NodeSchema, ports: PortsSchema }),
    run: async (deps, params: { node: Node }) => {
      cacheNode(deps, params.node);
      return {
        [`${kind}_steps`]: { [MANAGER_CLASS]: listSteps(kind, steps) },
        hardware_manager_version: HARDWARE_MANAGER_VERSION,
      };
    },
  };
}

/**
 * The commands `{clean,deploy,service}.{get,execute}_*_step[s]` over a table of steps.
 * @param cacheNode remembers the node that came with a command, which is newer than the one of the lookup
 */
export function stepCommands<Deps>(
  steps: readonly StepSpec<Deps>[],
  cacheNode: (deps: Deps, node: Node) => void,
): CommandSpec<Deps>[] {
  return STEP_KINDS.flatMap((kind) => [listCommand(kind, steps, cacheNode), executeCommand(kind, steps, cacheNode)]);
}
