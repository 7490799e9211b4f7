import { optionsHelp, type OptionTable, parseOptions, type Values } from './options.ts';
import type { Program } from './program.ts';

/** One command of a program that has several. */
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
    run: async (program) => {
      const { values, positionals } = parseOptions(command.options, program.argv);
      return command.run(program, values, positionals);
    },
  };
}

/** Whether a command line asks for help instead of work. */
export function wantsHelp(argv: readonly string[]): boolean {
  return argv.includes('--help') || argv.includes('-h');
}

/**
 * The help of one command.
 * @param words the program's name and the command's
 */
export function commandHelp(words: string, command: Command): string {
  const options = { ...command.options, help: { type: 'boolean', short: 'h', help: 'show this and end' } } as const;
  return [
    `Usage: ${words} ${command.usage}`.trimEnd(),
    '',
    command.summary,
    ...(command.details ? ['', ...command.details] : []),
    '',
    'Options:',
    optionsHelp(options),
    '',
  ].join('\n');
}
