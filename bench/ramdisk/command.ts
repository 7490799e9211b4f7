import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { openHost } from '../../builder/host/system.ts';
import { defineCommand } from '../../cli/command.ts';
import { usageFailure } from '../../cli/options.ts';
import { createProgress, progressMode } from '../../cli/progress.ts';
import { writeAtomically } from '../../system/files.ts';
import { benchRamdisks } from './bench.ts';
import { reportText } from './report.ts';

const ROUNDS = 5;
const MEMORY_MIB = 2048;
const STEP_MIB = 32;

export const ramdiskCommand = defineCommand({
  summary: "Ingot's ramdisk beside one with ironic-python-agent: time, bytes, memory.",
  usage: '[options]',
  details: [
    'Both start by the network in the same kind of virtual machine, in turn, driven by',
    "Ingot's conductor. The peer is Debian's package, made with mmdebstrap and kept in",
    'the cache (some six minutes once). All of it takes about an hour under emulation;',
    '--rounds 1 --no-deployments --no-searches about five minutes.',
  ],
  options: {
    rounds: { type: 'integer', help: `starts of each; ${ROUNDS} unless said` },
    deployments: { type: 'integer', help: 'deployments by each, for the memory after one; 2 unless said' },
    'no-deployments': { type: 'boolean', help: 'deploy nothing' },
    'no-searches': { type: 'boolean', help: 'do not look for the smallest memory' },
    memory: { type: 'integer', placeholder: 'MIB', help: `the machines' memory; ${MEMORY_MIB} unless said` },
    step: { type: 'integer', placeholder: 'MIB', help: `step of the search for the smallest; ${STEP_MIB} unless said` },
    out: { type: 'string', placeholder: 'DIR', help: 'folder for report.json and logs; out/bench/ramdisk unless said' },
    mirror: {
      type: 'string',
      placeholder: 'URL',
      multiple: true,
      help: "Debian mirror; the host's own sources unless said",
    },
    json: { type: 'boolean', help: 'print the report as JSON, progress as one object a line' },
  },
  run: async ({ stdout, stderr, signal }, values, positionals) => {
    if (positionals.length > 0) throw usageFailure(`cannot run the bench: it takes no ${positionals.join(' ')}`);
    const { rounds = ROUNDS, memory: memoryMiB = MEMORY_MIB, step: stepMiB = STEP_MIB, mirror } = values;
    for (const [name, value] of Object.entries({ rounds, memory: memoryMiB, step: stepMiB }))
      if (value < 1) throw usageFailure(`cannot use --${name} ${value}: it is at least 1`);
    const folder = resolve(values.out ?? 'out/bench/ramdisk');
    const path = join(folder, 'report.json');
    await mkdir(folder, { recursive: true });
    // A report of an earlier run must not pass for one of this run.
    await rm(path, { force: true });
    const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
    const report = await benchRamdisks({
      host: await openHost(),
      rounds,
      deployments: values['no-deployments'] ? 0 : (values.deployments ?? 2),
      searches: !values['no-searches'],
      memoryMiB,
      stepMiB,
      folder,
      mirror,
      progress,
      signal,
    });
    const text = `${JSON.stringify(report, undefined, 2)}\n`;
    await writeAtomically(path, (temporary) => writeFile(temporary, text));
    stdout.write(values.json ? text : `${reportText(report)}\nThe same as JSON: ${path}\n`);
    return 0;
  },
});
