import { setFlagsFromString } from 'node:v8';

import { AGENT_VERSION } from './api/version.ts';
import { type Command, commandHelp, wantsHelp } from '../cli/command.ts';
import { type OptionTable, optionsHelp, parseOptions, usageFailure } from '../cli/options.ts';
import { type Program, runProgram } from '../cli/program.ts';
import { defineFailures } from '../system/failure.ts';
import { systemFiles } from './os/files.ts';

const OPTIONS = {
  standalone: {
    type: 'boolean',
    help: 'run as the agent outside of a ramdisk: Ironic may then erase and write THIS machine',
  },
  'kernel-parameters': {
    type: 'string',
    placeholder: 'TEXT',
    help: "parameters instead of /proc/cmdline's, with --standalone",
  },
  'state-dir': {
    type: 'string',
    placeholder: 'DIR',
    help: 'where token, certificate and history of this boot are kept',
  },
  json: { type: 'boolean', help: 'inventory, configuration or steps as JSON' },
  help: { type: 'boolean', short: 'h', help: 'show this help' },
  version: { type: 'boolean', help: 'show the version' },
} as const satisfies OptionTable;

const COMMANDS = ['inventory', 'config', 'steps'];

const HELP = `ingot-agent [--standalone]: inspects, erases and images the machine that it runs on, for Ironic
ingot-agent inventory [--json]: shows what the machine is
ingot-agent disks [--json] [--hints JSON]: shows the disks, which one an image would go to and why; disks --help says more
ingot-agent plan [STEP] [--json] [--node JSON]: shows what erasing or RAID would do to each disk; plan --help says more
ingot-agent config [--json]: shows what the agent goes by, and where each value comes from
ingot-agent steps [DIR] [--json]: shows the steps that it has on this machine, with the plug-ins of /etc/ingot/steps.d, or DIR
ingot-agent write-image URL... DEVICE --checksum HEX: writes an image; write-image --help says more

${optionsHelp(OPTIONS)}
`;

/** The builder puts it into every ramdisk, and nothing else has it. */
const RAMDISK_MARK = '/etc/ingot-release';

const failure = defineFailures({
  NOT_A_RAMDISK: {
    message: (mark) => `cannot run as the agent: this is not a deploy ramdisk (there is no ${mark})`,
    hint: 'ingot-agent inventory shows this machine without touching it; --standalone runs the agent all the same',
  },
});

/**
 * Pieces of an image are garbage as soon as they are written: V8 lets its young generation grow to 48 MB of them, and what they hold outside of
 * its heap besides. Kept as small as it starts it is collected more often, and cheaper. The ramdisk's init says the like on Node's command
 * line (`--max-semi-space-size`), which does nothing in a program that is running.
 */
const SMALL_YOUNG_GENERATION = '--semi-space-growth-factor=1';

/** Commands with options of their own. */
const OWN_OPTIONS: Readonly<Record<string, () => Promise<Command>>> = {
  'write-image': async () => {
    setFlagsFromString(SMALL_YOUNG_GENERATION);
    return (await import('./write-image/command.ts')).writeImageCommand;
  },
  disks: async () => (await import('./disks-command.ts')).disksCommand,
  plan: async () => (await import('./plan-command.ts')).planCommand,
};

async function runCommand(name: string, command: Command, program: Program): Promise<number> {
  if (!wantsHelp(program.argv)) return command.run(program);
  program.stdout.write(commandHelp(`ingot-agent ${name}`, command));
  return 0;
}

async function main(program: Program): Promise<number> {
  const { argv, stdout, stderr, signal } = program;
  const [name = '', ...own] = argv;
  const load = Object.hasOwn(OWN_OPTIONS, name) ? OWN_OPTIONS[name] : undefined;
  if (load) return runCommand(name, await load(), { ...program, argv: own });
  const { values, positionals } = parseOptions(OPTIONS, argv);
  const [command, ...rest] = positionals;
  if (values.help || values.version) {
    stdout.write(values.help ? HELP : `${AGENT_VERSION}\n`);
    return 0;
  }
  const [folder, ...surplus] = command === 'steps' ? rest : [undefined, ...rest];
  if (surplus.length > 0 || (command !== undefined && !COMMANDS.includes(command))) {
    throw usageFailure(`cannot understand "${positionals.join(' ')}"`, 'see --help');
  }
  if (command === 'inventory') {
    const { showInventory } = await import('./inventory-command.ts');
    return showInventory({ stdout, json: values.json });
  }
  if (command === 'config') {
    const [{ showConfig }, { systemOs }, { STATE_DIRECTORY }] = await Promise.all([
      import('./config-command.ts'),
      import('./os/system.ts'),
      import('./state.ts'),
    ]);
    return showConfig({
      os: systemOs(),
      kernelParameters: values['kernel-parameters'],
      stateDirectory: values['state-dir'] ?? STATE_DIRECTORY,
      stdout,
      json: values.json,
    });
  }
  if (command === 'steps') {
    const { showSteps } = await import('./steps-command.ts');
    return showSteps({ folder, stdout, stderr, json: values.json, signal });
  }
  const inRamdisk = await systemFiles.exists(RAMDISK_MARK);
  if (!inRamdisk && !values.standalone) throw failure('NOT_A_RAMDISK', RAMDISK_MARK);
  const { startAgent } = await import('./start.ts');
  await startAgent({
    kernelParameters: values['kernel-parameters'],
    stateDirectory: values['state-dir'],
    inRamdisk,
    stdout,
    signal,
  });
  return 0;
}

// No top-level await: the ramdisk's bundle is CommonJS.
void runProgram(main);
