import { type Command, commandHelp, wantsHelp } from '../../cli/command.ts';
import { helpTable, optionsHelp } from '../../cli/options.ts';
import { type Program, runProgram } from '../../cli/program.ts';
import { bootCommand } from './boot.ts';
import { buildCommand } from './build.ts';
import { explainCommand } from './explain.ts';
import { listCommand } from './list.ts';
import { BUILD_OPTIONS } from './options.ts';
import { shellCommand } from './shell.ts';
import { planCommand } from './plan.ts';

/** Every command of `build-ramdisk`; without one of these words at its front, a command line is a build. */
const COMMANDS: Record<string, Command> = {
  build: buildCommand,
  plan: planCommand,
  explain: explainCommand,
  list: listCommand,
  boot: bootCommand,
  shell: shellCommand,
};

const EXIT_CODES = [
  ['0', 'done'],
  ['1', 'failed; the message says why'],
  ['2', 'the command line makes no sense'],
  ['130', 'interrupted'],
] as const;

function overview(): string {
  return [
    "build-ramdisk: a kernel and an initramfs with Ingot's agent, from signed packages",
    '',
    '  build-ramdisk [--arch x86_64|aarch64|loongarch64|all] [--release NAME] [-o NAME]',
    '                [-e ELEMENT] ... [DISTRIBUTION] [ELEMENT ...]',
    '',
    'Makes NAME.kernel, NAME.initramfs, NAME.manifest.json (every package, and where the',
    'bytes go; also a lock), NAME.cdx.json (CycloneDX) and NAME.sha256. Needs no root.',
    'Packages and finished layers are kept, so that a second build takes seconds.',
    '',
    'Commands, each with its own --help:',
    helpTable(Object.entries(COMMANDS).map(([name, command]) => [`build-ramdisk ${name}`, command.summary] as const)),
    '',
    'Options of a build:',
    optionsHelp({ ...BUILD_OPTIONS, help: { type: 'boolean', short: 'h', help: 'this text' } }),
    '',
    'Exit codes:',
    helpTable(EXIT_CODES),
    '',
  ].join('\n');
}

async function main(program: Program): Promise<number> {
  const [first = '', ...rest] = program.argv;
  const command = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  const argv = command === undefined ? program.argv : rest;
  if (wantsHelp(argv) || first === 'help') {
    program.stdout.write(command === undefined ? overview() : commandHelp(`build-ramdisk ${first}`, command));
    return 0;
  }
  return (command ?? buildCommand).run({ ...program, argv });
}

await runProgram(main);
