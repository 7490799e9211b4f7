import { readFileSync } from 'node:fs';

import { helpTable, usageFailure } from '../../cli/options.ts';
import type { Program } from '../../cli/program.ts';
import { type Command, commandHelp, wantsHelp } from '../../cli/command.ts';
import { conductorCommand } from './conductor.ts';
import { reportCommand, verifyCommand } from './evidence.ts';
import { createCommand } from './node-create.ts';
import { deployCommand } from './node-deploy.ts';
import {
  abortCommand,
  cleanCommand,
  inspectCommand,
  manageCommand,
  powerCommand,
  provideCommand,
  undeployCommand,
} from './node-flows.ts';
import { raidCommand } from './node-raid.ts';
import { deleteCommand, inventoryCommand, listCommand, showCommand } from './node-records.ts';

/** Every command of `ingot`, by its words. */
const COMMANDS: Record<string, Command> = {
  conductor: conductorCommand,
  'node create': createCommand,
  'node list': listCommand,
  'node show': showCommand,
  'node inventory': inventoryCommand,
  'node manage': manageCommand,
  'node inspect': inspectCommand,
  'node clean': cleanCommand,
  'node provide': provideCommand,
  'node deploy': deployCommand,
  'node undeploy': undeployCommand,
  'node abort': abortCommand,
  'node raid': raidCommand,
  'node power': powerCommand,
  'node delete': deleteCommand,
  'evidence verify': verifyCommand,
  'evidence report': reportCommand,
};

const EXIT_CODES = [
  ['0', 'done: the node has got where it was to go'],
  ['1', 'the node ended in a failed state, or the request was refused; the reason is printed'],
  ['2', 'the command line makes no sense'],
  ['3', 'the conductor cannot be reached'],
  ['4', 'the time given with --timeout was not enough; the conductor goes on'],
  ['5', 'the evidence is valid, and says of a disk that it was not erased'],
] as const;

function overview(group?: string): string {
  const rows = Object.entries(COMMANDS)
    .filter(([name]) => group === undefined || name.startsWith(`${group} `))
    .map(([name, command]) => [`ingot ${name}`, command.summary] as const);
  return [
    'Usage: ingot COMMAND [options]',
    '',
    'Keeps bare-metal machines, and takes them from racked to running.',
    '',
    'Commands:',
    helpTable(rows),
    '',
    'Each command has its own --help. Those about nodes talk to a running ingot conductor.',
    '',
    'Exit codes:',
    helpTable(EXIT_CODES),
    '',
  ].join('\n');
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return `ingot ${(JSON.parse(text) as { version: string }).version}\n`;
}

/** `ingot`: finds the command by its first words and runs it. @returns the exit code */
export async function main(program: Program): Promise<number> {
  const { argv, stdout } = program;
  const words = argv.filter((word, index) => index < 2 && !word.startsWith('-'));
  const name = [words.join(' '), words[0] ?? ''].find((candidate) => Object.hasOwn(COMMANDS, candidate));
  const command = name === undefined ? undefined : COMMANDS[name];
  if (name === undefined || command === undefined) {
    if (argv.includes('--version')) {
      stdout.write(version());
      return 0;
    }
    const isGroup = words.length === 1 && Object.keys(COMMANDS).some((one) => one.startsWith(`${words[0]} `));
    if (wantsHelp(argv) || argv[0] === 'help') {
      stdout.write(overview(isGroup ? words[0] : undefined));
      return 0;
    }
    const what = words.length === 0 || isGroup ? 'no command was given' : `there is no command ${words.join(' ')}`;
    throw usageFailure(`cannot run ingot: ${what}`, 'ingot --help');
  }
  const rest = argv.slice(name.split(' ').length);
  if (wantsHelp(rest)) {
    stdout.write(commandHelp(`ingot ${name}`, command));
    return 0;
  }
  return command.run({ ...program, argv: rest });
}
