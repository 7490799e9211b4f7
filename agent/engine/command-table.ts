import type { TSchema } from 'typebox';

import type { CommandProgress, Node, Step } from '../api/command.ts';

/** What a running command gets besides its parameters. */
export type CommandContext = {
  /** Aborted when the agent stops. */
  signal: AbortSignal;
  /** Shown in the command's JSON, on the console and by the conductor. */
  progress: (progress: CommandProgress) => void;
  log: (message: string) => void;
};

/**
 * One command of the agent's API. The table of these gives routes, validation and documentation.
 * `run` throws `AgentError`; anything else becomes `CommandExecutionError`.
 */
export type CommandSpec<Deps> = {
  /** `extension.command`, as the conductor names it. */
  name: string;
  /** Sync commands answer when they are done (within 60 s, the conductor's timeout); async ones answer RUNNING at once. */
  mode: 'sync' | 'async';
  summary: string;
  /**
   * Taken also while another command runs. It is then in no history: the conductor looks at the last entry, which must stay the
   * command that runs.
   */
  whileBusy?: boolean;
  /** TypeBox object; unknown keys are refused with a TypeError as Python would, wrong values with InvalidCommandParamsError. */
  params: TSchema;
  /** Refuses bad parameters before the command starts: HTTP 400, and nothing in the history. */
  validate?: (params: never) => void;
  run: (deps: Deps, params: never, context: CommandContext) => Promise<unknown>;
};

export const STEP_KINDS = ['clean', 'deploy', 'service'] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export type StepRequest = {
  kind: StepKind;
  node: Node;
  ports: readonly Record<string, unknown>[];
  args: Record<string, unknown>;
};

/** One step, offered for each kind that has a priority in `priorities`. */
export type StepSpec<Deps> = Pick<Step, 'step' | 'interface' | 'argsinfo'> & {
  priorities: Partial<Record<StepKind, number>>;
  rebootRequested?: boolean;
  abortable?: boolean;
  /** @returns what stands in `clean_result`, `deploy_result` or `service_result` */
  run: (deps: Deps, request: StepRequest, context: CommandContext) => Promise<unknown>;
};

/** Whose steps they are: the agent's own, a plug-in's, containers'. What a hardware manager is to IPA. */
export type StepManager<Deps> = {
  /** Key of its version in `hardware_manager_version`, which Ironic sends back with each step. */
  name: string;
  version: string;
  /** Key of its steps in the step list: with IPA a Python class. */
  className: string;
  /** How well it knows this machine: 1 any machine, 2 hardware of this kind, 3 the site's own. The highest has a step that several offer. */
  support: number;
  /** Its steps as they are now. @throws AgentError where they cannot be known: then there is no list at all, as in IPA */
  steps: (deps: Deps) => Promise<readonly StepSpec<Deps>[]>;
};
