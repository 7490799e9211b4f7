import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { openHost } from '../../../builder/host/system.ts';
import { optionsHelp, type OptionTable, parseOptions, usageFailure } from '../../../cli/options.ts';
import { type Program, runProgram } from '../../../cli/program.ts';
import { createProgress, progressMode } from '../../../cli/progress.ts';
import { runDeployment, writeReport } from './deployment.ts';
import { reportTable } from './report.ts';

const OPTIONS = {
  out: {
    type: 'string',
    placeholder: 'DIR',
    help: 'folder for the ramdisk, logs and report.json; out/demo unless said',
  },
  memory: { type: 'integer', placeholder: 'MIB', help: "the machine's memory; 1024 unless said" },
  mirror: {
    type: 'string',
    placeholder: 'URL',
    multiple: true,
    help: "Debian mirror; the host's own sources unless said",
  },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies OptionTable;

async function demo({ argv, stdout, stderr, signal }: Program): Promise<number> {
  const { values, positionals } = parseOptions(OPTIONS, argv);
  if (values.help) {
    stdout.write(
      `npm run demo -- [options]\n\nA bare (virtual) machine, from nothing to its own operating system.\n\n${optionsHelp(OPTIONS)}\n`,
    );
    return 0;
  }
  if (positionals.length > 0) throw usageFailure(`cannot run the demo: it takes no ${positionals.join(' ')}`);
  const folder = resolve(values.out ?? 'out/demo');
  const report = join(folder, 'report.json');
  // A report of an earlier run must not pass for one of this run.
  await rm(report, { force: true });
  const progress = createProgress(progressMode({ isTerminal: stderr.isTTY }), stderr);
  const host = await openHost();
  const result = await runDeployment({
    host,
    folder,
    memoryMiB: values.memory ?? 1024,
    mirror: values.mirror,
    progress,
    signal,
  });
  await writeReport(report, result);
  stdout.write(`${reportTable(result)}\nThe same as JSON: ${report}\n`);
  return 0;
}

await runProgram(demo);
