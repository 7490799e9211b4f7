import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { BuilderHost } from '../../../builder/host/door.ts';
import { openHost } from '../../../builder/host/system.ts';
import { removeTree } from '../../../builder/dib/workspace.ts';
import { helpTable, optionsHelp, type OptionTable, parseOptions, usageFailure } from '../../../cli/options.ts';
import { type Program, runProgram } from '../../../cli/program.ts';
import { createProgress, type Progress, progressMode } from '../../../cli/progress.ts';
import { writeAtomically } from '../../../system/files.ts';
import { prepare } from '../../lab/demo/prepare.ts';
import { createSteps } from '../../lab/demo/steps.ts';
import { runInside } from './cell.ts';
import { FLOW_NAMES, type FlowName, FLOWS, planFlows } from './flows.ts';
import { FILES, type Plan } from './plan.ts';
import { type InteropReport, reportTable } from './report.ts';
import { ironicTree } from './tree.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/wire', import.meta.url));

/** The plug-in step that docs/steps.md shows; the ramdisk is otherwise what build-ramdisk makes without a word. */
const EXAMPLES = fileURLToPath(new URL('../../../docs/examples/steps', import.meta.url));
const PLUGIN = ['--elements-path', EXAMPLES, '-e', 'acme-firmware'];

const OPTIONS = {
  out: { type: 'string', placeholder: 'DIR', help: 'folder for logs and report.json; out/interop unless said' },
  memory: { type: 'integer', placeholder: 'MIB', help: "the machine's memory; 1024 unless said" },
  mirror: {
    type: 'string',
    placeholder: 'URL',
    multiple: true,
    help: "Debian mirror; the host's own sources unless said",
  },
  record: { type: 'boolean', help: 'write down both directions of the wire, as new fixtures of the fast tests' },
  json: { type: 'boolean', help: 'the report on standard output, progress as JSON lines' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
} as const satisfies OptionTable;

function helpText(): string {
  const flows = helpTable(FLOW_NAMES.map((name) => [name, FLOWS[name].proves] as const));
  return `npm run interop -- [options] [flows]

A real Ironic of Debian's packages, and a virtual machine that it manages with Ingot's ramdisk.

Flows (all of them unless some are named; what has to come before is done as well):
${flows}

${optionsHelp(OPTIONS)}
`;
}

function chosenFlows(words: readonly string[]): FlowName[] {
  const unknown = words.filter((word) => !FLOW_NAMES.some((name) => name === word));
  if (unknown.length > 0) throw usageFailure(`cannot run ${unknown.join(', ')}: there is ${FLOW_NAMES.join(', ')}`);
  return planFlows(words.length === 0 ? FLOW_NAMES : FLOW_NAMES.filter((name) => words.includes(name)));
}

type Run = {
  host: BuilderHost;
  folder: string;
  flows: readonly FlowName[];
  memoryMiB: number;
  mirror: readonly string[];
  record: boolean;
  progress: Progress;
  signal: AbortSignal;
};

/** Makes what is needed outside, where there is a network, and runs the flows inside, where there is none. */
async function runFlows(run: Run): Promise<void> {
  const { host, folder, flows, memoryMiB, mirror, record, progress, signal } = run;
  // A report or log of an earlier run must not pass for one of this run.
  await removeTree(host, join(folder, FILES.tree));
  for (const name of Object.values(FILES)) await rm(join(folder, name), { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const steps = createSteps(progress, signal, () => []);
  const lab = await prepare({ host, folder, memoryMiB, mirror, build: PLUGIN, progress, signal }, steps);
  const tree = await steps.run("make Ironic's tree", (own) => ironicTree({ host, mirror, progress: own, signal }));
  const plan: Plan = {
    folder,
    tree,
    tools: lab.tools.root,
    arch: lab.machine.arch,
    acceleration: lab.acceleration,
    ramdisk: lab.ramdisk,
    image: lab.image,
    memoryMiB,
    flows,
    record,
  };
  const planFile = join(folder, FILES.plan);
  await writeFile(planFile, JSON.stringify(plan));
  try {
    await runInside(planFile, { host, progress, signal });
  } finally {
    for (const name of [FILES.tree, FILES.given]) await removeTree(host, join(folder, name));
  }
}

/** What was said becomes what the fast tests replay. */
async function keepRecordings(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    await writeAtomically(join(FIXTURES, name), (temporary) => copyFile(join(folder, name), temporary));
}

async function interop({ argv, stdout, stderr, signal }: Program): Promise<number> {
  const { values, positionals } = parseOptions(OPTIONS, argv);
  if (values.help) {
    stdout.write(helpText());
    return 0;
  }
  const { mirror, record, memory: memoryMiB = 1024 } = values;
  const flows = chosenFlows(positionals);
  const folder = resolve(values.out ?? 'out/interop');
  const host = await openHost();
  const progress = createProgress(progressMode({ json: values.json, isTerminal: stderr.isTTY }), stderr);
  progress.update({ phase: 'take the folder', message: folder });
  // Two runs in one folder would take each other's tree away.
  const lock = `interop-${createHash('sha256').update(folder).digest('hex')}`;
  await host.cache.exclusively(lock, signal, () =>
    runFlows({ host, folder, flows, memoryMiB, mirror, record, progress, signal }),
  );
  if (record) await keepRecordings(join(folder, FILES.wire));
  const path = join(folder, FILES.report);
  const text = await readFile(path, 'utf8');
  stdout.write(values.json ? text : `${reportTable(JSON.parse(text) as InteropReport)}\nThe same as JSON: ${path}\n`);
  return 0;
}

await runProgram(interop);
