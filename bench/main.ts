import { type Command, commandHelp, wantsHelp } from '../cli/command.ts';
import { helpTable, usageFailure } from '../cli/options.ts';
import { type Program, runProgram } from '../cli/program.ts';
import { nearest } from '../cli/nearest.ts';
import { eraseCommand } from './erase/command.ts';
import { imageWriteCommand } from './image-write/command.ts';
import { ramdiskCommand } from './ramdisk/command.ts';

/** One a benchmark; each measures Ingot and a peer in the same run. */
const BENCHES: Readonly<Record<string, Command>> = {
  ramdisk: ramdiskCommand,
  'image-write': imageWriteCommand,
  erase: eraseCommand,
};

function help(): string {
  const rows = Object.entries(BENCHES).map(([name, { summary }]) => [name, summary] as const);
  return [
    'Usage: npm run bench -- BENCH [options]',
    '',
    'Measures Ingot beside its peers, in the same run.',
    '',
    'Benches:',
    helpTable(rows),
    '',
    'npm run bench -- BENCH --help tells the options of one.',
    '',
  ].join('\n');
}

async function bench(program: Program): Promise<number> {
  const [name, ...argv] = program.argv;
  const command = name === undefined ? undefined : BENCHES[name];
  if (name === undefined || (command === undefined && wantsHelp(program.argv))) {
    program.stdout.write(help());
    return name === undefined ? 2 : 0;
  }
  if (command === undefined) {
    const close = nearest(name, Object.keys(BENCHES));
    throw usageFailure(`cannot run the bench ${name}: there is no such bench`, close ?? 'npm run bench -- --help');
  }
  if (wantsHelp(argv)) {
    program.stdout.write(commandHelp(`npm run bench -- ${name}`, command));
    return 0;
  }
  return command.run({ ...program, argv });
}

await runProgram(bench);
