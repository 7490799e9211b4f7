import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { BuilderHost } from '../builder/host/door.ts';
import type { Command } from '../cli/command.ts';
import { type OptionTable, parseOptions, sizeBytes, usageFailure, type Values } from '../cli/options.ts';
import { createProgress, type Progress, progressMode } from '../cli/progress.ts';
import { writeAtomically } from '../system/files.ts';

/** What every bench is given. */
export type BenchBasics = {
  host: BuilderHost;
  rounds: number;
  /** Absolute: for report.json, and for what is kept beside it. */
  folder: string;
  mirror: readonly string[];
  progress: Progress;
  signal: AbortSignal;
};

export type BenchSpec<T extends OptionTable, S, R> = {
  /** As on the command line; also the folder in `out/bench`. */
  name: string;
  summary: string;
  details: readonly string[];
  /** How often everything is measured unless said, and what one of them is called. */
  rounds: { usual: number; of: string };
  /** What else is in the folder of the report. */
  keeps: string;
  options: T;
  /** Pure. @throws Failure with exit code 2 for values that make no sense, before anything is touched */
  settings: (values: Values<T>) => S;
  bench: (basics: BenchBasics, settings: S) => Promise<R>;
  /** The report for people. */
  text: (report: R) => string;
};

/** @throws Failure with exit code 2 for a number below 1 */
export function atLeastOne(numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers))
    if (value < 1) throw usageFailure(`cannot use --${name} ${value}: it is at least 1`);
}

/** @returns bytes, whole MiB @throws Failure with exit code 2 */
export function wholeMebibytes(text: string, leastMiB: number): number {
  const bytes = Math.floor(sizeBytes('size', text) / 2 ** 20) * 2 ** 20;
  if (bytes < leastMiB * 2 ** 20) throw usageFailure(`cannot use --size ${text}: it is at least ${leastMiB}MiB`);
  return bytes;
}

/** A bench as a command: the options that all of them have, a report as JSON in a folder, and as text on standard output. */
export function defineBench<const T extends OptionTable, S, R>(spec: BenchSpec<T, S, R>): Command {
  const { name, rounds, keeps } = spec;
  const usual = `out/bench/${name}`;
  const basicOptions = {
    rounds: { type: 'integer', help: `${rounds.of}; ${rounds.usual} unless said` },
    out: { type: 'string', placeholder: 'DIR', help: `folder for report.json and ${keeps}; ${usual} unless said` },
    mirror: {
      type: 'string',
      placeholder: 'URL',
      multiple: true,
      help: "Debian mirror; the host's own sources unless said",
    },
    json: { type: 'boolean', help: 'print the report as JSON, progress as one object a line' },
  } as const satisfies OptionTable;
  const { rounds: first, ...last } = basicOptions;
  return {
    summary: spec.summary,
    usage: '[options]',
    details: spec.details,
    options: { rounds: first, ...spec.options, ...last },
    run: async ({ argv, stdout, stderr, signal }) => {
      const { values, positionals } = parseOptions({ ...spec.options, ...basicOptions }, argv);
      if (positionals.length > 0) throw usageFailure(`cannot run the bench: it takes no ${positionals.join(' ')}`);
      const basics = values as Values<typeof basicOptions>;
      const count = basics.rounds ?? rounds.usual;
      atLeastOne({ rounds: count });
      const settings = spec.settings(values);
      const folder = resolve(basics.out ?? usual);
      const path = join(folder, 'report.json');
      await mkdir(folder, { recursive: true });
      // A report of an earlier run must not pass for one of this run.
      await rm(path, { force: true });
      const progress = createProgress(progressMode({ json: basics.json, isTerminal: stderr.isTTY }), stderr);
      // Loaded when there is something to do: help and complaints come at once.
      const { openHost } = await import('../builder/host/system.ts');
      const report = await spec.bench(
        { host: await openHost(), rounds: count, folder, mirror: basics.mirror, progress, signal },
        settings,
      );
      const text = `${JSON.stringify(report, undefined, 2)}\n`;
      await writeAtomically(path, (temporary) => writeFile(temporary, text));
      stdout.write(basics.json ? text : `${spec.text(report)}\nThe same as JSON: ${path}\n`);
      return 0;
    },
  };
}
