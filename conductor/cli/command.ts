import { type OptionTable, parseOptions, type Values } from '../../cli/options.ts';
import type { Program } from '../../cli/program.ts';

/** One command of `ingot`. */
export type Command = {
  summary: string;
  /** What stands after the command's name on the first line of its help. */
  usage: string;
  /** More lines for its help, at most 80 characters each. */
  details?: readonly string[];
  options: OptionTable;
  run: (program: Program) => Promise<number>;
};

/** Ties a table of options to the function that gets their values. */
export function defineCommand<const T extends OptionTable>(command: {
  summary: string;
  usage: string;
  details?: readonly string[];
  options: T;
  run: (program: Program, values: Values<T>, positionals: string[]) => Promise<number>;
}): Command {
  return {
    ...command,
    run: (program) => {
      const { values, positionals } = parseOptions(command.options, program.argv);
      return command.run(program, values, positionals);
    },
  };
}

/** Options of every command that talks to a conductor. */
export const API_OPTIONS = {
  api: {
    type: 'string',
    placeholder: 'URL',
    help: 'the conductor; else the variable INGOT_API, else http://127.0.0.1:6385',
  },
  json: { type: 'boolean', help: 'print JSON, progress as one object a line' },
} as const satisfies OptionTable;

/** Options of every command that waits for a node. */
export const WAIT_OPTIONS = {
  'no-wait': { type: 'boolean', help: 'return at once; the conductor goes on' },
  timeout: {
    type: 'integer',
    placeholder: 'SECONDS',
    help: 'wait at most so long (exit code 4); the conductor goes on',
  },
} as const satisfies OptionTable;
